"""Plots as SVG text, from nothing but Python: axes, points, lines and a legend."""

import math
from html import escape

COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22"]


class Axis:
    """From values to pixels; ticks are the powers of ten and, on a short axis, 2 and 5 times them, or five even steps."""

    def __init__(self, values, start, end, logarithmic=False):
        self.low, self.high, self.logarithmic = min(values), max(values), logarithmic
        if self.low == self.high:
            self.low, self.high = (self.low / 2, self.high * 2) if logarithmic else (self.low - 1, self.high + 1)
        self.start, self.end = start, end

    def share(self, value):
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def __call__(self, value):
        return round(self.start + self.share(value) * (self.end - self.start), 1)

    def ticks(self):
        if not self.logarithmic:
            return [self.low + step * (self.high - self.low) / 4 for step in range(5)]
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1, 2, 5) if self.high / self.low < 1e3 else (1,)
        ticks = [step * 10.0**power for power in powers for step in steps]
        return [tick for tick in ticks if self.low <= tick <= self.high]


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


class Plot:
    def __init__(self, width, height, left=60, right=20, top=24, bottom=44):
        self.width, self.height = width, height
        self.left, self.right, self.top, self.bottom = left, width - right, top, height - bottom
        self.parts = []

    def text(self, x, y, text, anchor="start", colour="#222"):
        self.parts.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>')

    def line(self, points, colour="#888", width=1, dash=""):
        joined = " ".join(f"{x},{y}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="{width}"{dashed}/>')

    def dot(self, x, y, colour, title="", radius=4):
        self.parts.append(f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{colour}"><title>{escape(title)}</title></circle>')

    def x_axis(self, axis, label):
        for tick in axis.ticks():
            self.line([(axis(tick), self.top), (axis(tick), self.bottom)], "#ddd")
            self.text(axis(tick), self.bottom + 14, number(tick), "middle")
        self.text((self.left + self.right) / 2, self.bottom + 30, label, "middle")

    def y_axis(self, axis, label):
        for tick in axis.ticks():
            self.line([(self.left, axis(tick)), (self.right, axis(tick))], "#ddd")
            self.text(self.left - 6, axis(tick) + 4, number(tick), "end")
        self.text(6, self.top - 11, label)

    def legend(self, entries, x, y):
        for index, (name, colour) in enumerate(entries):
            self.dot(x, y + 15 * index, colour)
            self.text(x + 9, y + 4 + 15 * index, name)

    def __str__(self):
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">'
        background = f'<rect width="{self.width}" height="{self.height}" fill="white"/>'
        return "\n".join([head, background, *self.parts, "</svg>"]) + "\n"


def colours_of(names):
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(dict.fromkeys(names))}


def dots(rows, label):
    """A row of dots for each entry of rows: {row: {name: (low, value, high)}}, on one logarithmic axis; 1 is marked."""
    names = colours_of(name for row in rows.values() for name in row)
    plot = Plot(760, 60 + 22 * len(rows), left=210, right=130)
    values = [value for row in rows.values() for triple in row.values() for value in triple]
    axis = Axis([*values, 1, 2], plot.left, plot.right, logarithmic=True)
    plot.x_axis(axis, label)
    plot.line([(axis(1), plot.top), (axis(1), plot.bottom)], "#222")
    for index, (title, row) in enumerate(rows.items()):
        y = plot.top + 11 + 22 * index
        plot.text(plot.left - 8, y + 4, title, "end")
        for name, (low, value, high) in row.items():
            plot.line([(axis(low), y), (axis(high), y)], names[name], 2)
            plot.dot(axis(value), y, names[name], f"{name}: {value:.2f}")
    plot.legend(list(names.items()), plot.right + 16, plot.top + 8)
    return str(plot)


def intervals(series, label, marks):
    """series: {name: [(low, value, high)]}, side by side; marks are values with a line across."""
    names = colours_of(series)
    plot = Plot(620, 260, right=190, bottom=30)
    values = [value for entries in series.values() for triple in entries for value in triple]
    y = Axis([*values, *marks], plot.bottom, plot.top)
    plot.y_axis(y, label)
    for mark in marks:
        plot.line([(plot.left, y(mark)), (plot.right, y(mark))], "#222")
    longest = max(len(entries) for entries in series.values())
    x = Axis([-0.5, longest - 0.5], plot.left, plot.right)
    for offset, (name, entries) in enumerate(series.items()):
        for index, (low, value, high) in enumerate(entries):
            at = round(x(index + 0.3 * offset / len(series)), 1)
            plot.line([(at, y(low)), (at, y(high))], names[name], 2)
            plot.dot(at, y(value), names[name], f"{value:.3f}", radius=3)
    plot.legend(list(names.items()), plot.right + 16, plot.top + 8)
    return str(plot)


def roofline(points, bytes_per_second, flops):
    """points: (name, flops per byte, flops per second); the roofs in bytes and in flops per second."""
    names = colours_of(name for name, _, _ in points)
    plot = Plot(760, 360, left=60, right=210)
    ridge = flops / bytes_per_second
    xs = [x * by for _, x, _ in points for by in (0.8, 1.25)] + [ridge / 4, ridge * 4]
    x = Axis(xs, plot.left, plot.right, logarithmic=True)
    roof = lambda intensity: min(flops, intensity * bytes_per_second)
    ys = [0.8 * y / 1e9 for _, _, y in points] + [roof(x.low) / 1e9, 1.25 * flops / 1e9]
    y = Axis(ys, plot.bottom, plot.top, logarithmic=True)
    plot.x_axis(x, "flops for each byte of inputs and outputs")
    plot.y_axis(y, "GFLOP/s")
    plot.line([(x(at), y(roof(at) / 1e9)) for at in (x.low, ridge, x.high)], "#222", 2)
    for name, intensity, rate in points:
        plot.dot(x(intensity), y(rate / 1e9), names[name], f"{name}: {rate / 1e9:.1f} GFLOP/s")
    plot.legend(list(names.items()), plot.right + 16, plot.top + 8)
    return str(plot)


def curves(series, label):
    """series: (name, dashed, [(x, y)])."""
    names = colours_of(name for name, _, _ in series)
    plot = Plot(620, 300, right=190)
    x = Axis([point[0] for _, _, points in series for point in points], plot.left, plot.right)
    y = Axis([point[1] for _, _, points in series for point in points], plot.bottom, plot.top)
    for tick in sorted({point[0] for _, _, points in series for point in points}):
        plot.text(x(tick), plot.bottom + 14, number(tick), "middle")
    plot.text((plot.left + plot.right) / 2, plot.bottom + 30, label, "middle")
    plot.y_axis(y, "")
    for name, dashed, points in series:
        plot.line([(x(at), y(value)) for at, value in points], names[name], 1.5, "5 4" if dashed else "")
    plot.legend(list(names.items()), plot.right + 16, plot.top + 8)
    return str(plot)
