#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "kernels/base/select.h"
#include "kernels/base/verify.h"
#include "tools/bench.h"
#include "tools/commands.h"

namespace tenon {
namespace {

// "8192x768"
Extents parse_shape(const std::string& text) {
  constexpr double most = 1e14;  // of their product; before anything overflows
  Extents extents;
  double product = 1;
  for (const char *at = text.data(), *end = at + text.size(); at <= end; ++at) {
    int64_t size = 0;
    const auto [stop, error] = std::from_chars(at, end, size);
    check(error == std::errc() && (stop == end || *stop == 'x'), "--shape ", text,
          " is no shape; write it as 8192x768");
    extents.push_back(size);
    product *= static_cast<double>(size);
    at = stop;
  }
  check(product < most, "--shape ", text, " is more than a machine could verify; give a smaller --shape");
  return extents;
}

double bytes_of(const AnyArgs& args) {
  double bytes = 0;
  for (const auto* views : {&args.inputs, &args.outputs})
    for (const auto& [name, view] : *views)
      if (view->defined()) bytes += static_cast<double>(view->bytes());
  return bytes;
}

// Two verifiers hold inputs, outputs of plain, and both in fp64; then there is what is timed.
void check_fits(const AnyOperation& operation, const AnyCase& of) {
  constexpr double copies = 10, gib = 1 << 30;
  const double needed = copies * bytes_of(of.args);
  const double has =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  check(needed < has, operation.name(), " of ", of.name, " takes about ", std::ceil(needed / gib),
        " GiB to be verified and timed, and this machine has ", std::floor(has / gib),
        "; give a smaller --shape");
}

const AnyOperation& named(const std::string& name) {
  const AnyOperation* found = find_operation(name);
  check(found != nullptr, "there is no operation '", name, "'; 'tenon kernels' lists them");
  return *found;
}

const AnyOperation& gradient_of(const AnyOperation& operation) {
  check(!operation.backward().empty(), "--backward: ", operation.name(), " has no gradient");
  return named(std::string(operation.backward()));
}

bool takes(const AnyOperation& operation, DType type) {
  const auto types = operation.dtypes();
  return std::find(types.begin(), types.end(), type) != types.end();
}

// Whether the file, as the compiler was given it, is the one that a person names.
bool is_file(const std::string& compiled, const std::string& named) {
  const auto path = std::filesystem::path(named).lexically_normal().string();
  return compiled == path || compiled.ends_with("/" + path) || path.ends_with("/" + compiled);
}

bool registers(const std::string& file, const AnyOperation& operation, Device device) {
  for (size_t i = 0; i < operation.variant_count(); ++i)
    if (operation.variant(i).device == device && is_file(operation.variant(i).file, file)) return true;
  return false;
}

std::vector<const AnyOperation*> chosen_operations(const BenchChoice& choice, Device device) {
  std::vector<const AnyOperation*> chosen;
  for (const std::string& name : choice.operations) chosen.push_back(&named(name));
  if (choice.operations.empty())
    for (const AnyOperation* each : operations())
      if (choice.file.empty() ? !choice.backward || !each->backward().empty()
                              : registers(choice.file, *each, device))
        chosen.push_back(each);
  check(!chosen.empty(), "--file ", choice.file, ": this build has no variant for ", device,
        " from that file");
  if (choice.backward)
    for (const AnyOperation*& each : chosen) each = &gradient_of(*each);
  return chosen;
}

std::vector<AnyCase> chosen_cases(const BenchChoice& choice, const AnyOperation& operation, DType type,
                                  Device device) {
  std::vector<AnyCase> chosen;
  for (const std::string& shape : choice.shapes) {
    chosen.push_back(case_of(operation, type, parse_shape(shape)));
    check_fits(operation, chosen.back());
  }
  const auto cases = operation.cases(type);
  const auto wanted = [&](const CaseInfo& each) {
    return choice.case_name.empty() ? each.large && device != Device::simt : each.name == choice.case_name;
  };
  for (size_t i = 0; i < cases.size() && choice.shapes.empty(); ++i)
    if (wanted(cases[i])) chosen.push_back(case_at(operation, type, i));
  if (!chosen.empty() || !choice.case_name.empty() || cases.empty()) return chosen;
  const auto cost = [&](size_t i) {
    return cases[i].large ? -1 : operation.cost(operation.args(type, i)).bytes;
  };
  size_t costliest = 0;
  for (size_t i = 1; i < cases.size(); ++i)
    if (cost(i) > cost(costliest)) costliest = i;
  return {case_at(operation, type, costliest)};
}

}  // namespace

void BenchChoice::add_to(CLI::App& command) {
  command.add_option("OP", operations, "Operations (default: all)");
  command.add_option("--case", case_name, "Case of the contract (default: the model's own shapes)");
  command.add_option("--shape", shapes, "Shape of your own, such as 8192x768; may be given several times")
      ->excludes("--case");
  command.add_option("--dtype", dtype, "f32, bf16, f16 or f64")->capture_default_str();
  command.add_flag("--backward", backward, "The gradients of the operations instead of them");
  command.add_option("--file", file, "Only what this source file registers, beside the default");
}

DType BenchChoice::element_type() const {
  for (DType each : {DType::f32, DType::bf16, DType::f16, DType::f64})
    if (to_string(each) == dtype) return each;
  throw CLI::ValidationError("--dtype", dtype + " is unknown; use f32, bf16, f16 or f64");
}

std::vector<BenchCase> BenchChoice::works(Device device) const {
  const DType type = element_type();
  std::vector<BenchCase> works;
  as_usage([&] {
    for (const AnyOperation* operation : chosen_operations(*this, device))
      if (takes(*operation, type))
        for (AnyCase& each : chosen_cases(*this, *operation, type, device))
          works.push_back({operation, type, std::move(each)});
    check(!works.empty(), case_name.empty() ? "no chosen operation" : "--case " + case_name,
          case_name.empty() ? " takes elements of type " + dtype : " is not a case of the chosen operations");
  });
  return works;
}

std::vector<Contender> contenders_from(const std::string& file, const BenchCase& work, Device device) {
  std::vector<Contender> contenders;
  if (file.empty()) return contenders;
  const AnyOperation& operation = *work.operation;
  const size_t by_default = select(operation, work.of.args, work.dtype, device).variant;
  for (size_t i = 0; i < operation.variant_count(); ++i)
    if (operation.variant(i).device == device &&
        (i == by_default || is_file(operation.variant(i).file, file)))
      contenders.push_back({i});
  return contenders;
}

void run_once(const std::string& what, const BenchChoice& choice, Device device) {
  const size_t first = what.find('/'), second = first == what.npos ? what.npos : what.find('/', first + 1);
  check(first != what.npos, "--once ", what,
        ": write it as OP/VARIANT/CASE, such as layer_norm/plain/64x384");
  BenchChoice chosen = choice;
  chosen.operations = {what.substr(0, first)};
  if (second != what.npos) chosen.case_name = what.substr(second + 1);
  const std::vector<BenchCase> works = chosen.works(device);
  check(works.size() == 1, "--once ", what, " is ", works.size(),
        " cases; name one as OP/VARIANT/CASE, or give one --shape");
  const auto& [operation, dtype, of] = works[0];
  const std::string variant = what.substr(first + 1, second - first - 1);
  for (size_t i = 0; i < operation->variant_count(); ++i) {
    if (operation->variant(i).device != device || operation->variant(i).name != variant) continue;
    const auto host = make_host_problem(*operation, of, 1);
    const std::string why_not = operation->supports(i, host->args());
    check(why_not.empty(), operation->name(), "=", variant, " cannot run ", of.name, ": ", why_not);
    Problem problem(operation->clone(of.args), device);
    problem.load_inputs(*host);
    Stream& stream = Stream::current(device);
    stream.synchronize();
    operation->run(i, problem.args(), stream);
    stream.synchronize();
    std::printf("%s=%s ran %s once on %s; nothing was timed or verified\n",
                std::string(operation->name()).c_str(), variant.c_str(), of.name.c_str(),
                to_string(device).c_str());
    return;
  }
  fail("there is no variant ", variant, " of ", operation->name(), " on ", device, "; 'tenon kernels ",
       operation->name(), "' lists them");
}

}  // namespace tenon
