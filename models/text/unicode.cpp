#include "models/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>
#include <span>

#include "models/text/unicode_differences.h"

namespace tenon {
namespace {

constexpr char32_t replacement = 0xFFFD;

bool within(std::span<const differences::Range> ranges, char32_t code) {
  const auto above = std::upper_bound(ranges.begin(), ranges.end(), code,
                                      [](char32_t value, const auto& range) { return value < range.first; });
  return above != ranges.begin() && code <= std::prev(above)->last;
}

bool one_of(std::span<const char32_t> codes, char32_t code) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

utf8proc_category_t category(char32_t code) { return utf8proc_category(static_cast<utf8proc_int32_t>(code)); }

struct Lead {
  int length;  // bytes of the sequence, 0 if no sequence starts so
  unsigned char low,
      high;  // bounds of the second byte: no overlong forms, surrogates or code points past U+10FFFF
};

Lead lead_of(unsigned char byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
  if (byte >= 0xE0 && byte <= 0xEF)
    return {3, static_cast<unsigned char>(byte == 0xE0 ? 0xA0 : 0x80),
            static_cast<unsigned char>(byte == 0xED ? 0x9F : 0xBF)};
  if (byte >= 0xF0 && byte <= 0xF4)
    return {4, static_cast<unsigned char>(byte == 0xF0 ? 0x90 : 0x80),
            static_cast<unsigned char>(byte == 0xF4 ? 0x8F : 0xBF)};
  return {0, 0, 0};
}

}  // namespace

char32_t decode_utf8(const char*& text, const char* end) {
  const auto first = static_cast<unsigned char>(*text++);
  if (first < 0x80) return first;
  Lead lead = lead_of(first);
  if (lead.length == 0) return replacement;
  char32_t code = first & (0x7Fu >> lead.length);
  for (int i = 1; i < lead.length; ++i, lead.low = 0x80, lead.high = 0xBF) {
    if (text == end) return replacement;
    const auto byte = static_cast<unsigned char>(*text);
    if (byte < lead.low || byte > lead.high) return replacement;
    code = (code << 6) | (byte & 0x3Fu);
    ++text;
  }
  return code;
}

void append_utf8(std::string& text, char32_t code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
    return;
  }
  const int following = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr unsigned marks[] = {0, 0xC0, 0xE0, 0xF0};
  text += static_cast<char>(marks[following] | (code >> (6 * following)));
  for (int i = following - 1; i >= 0; --i) text += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F));
}

bool is_whitespace(char32_t code) {
  return (code >= 9 && code <= 13) || code == ' ' || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F ||
         code == 0x205F || code == 0x3000;
}

bool is_control(char32_t code) {
  if (code == '\t' || code == '\n' || code == '\r') return false;
  const auto kind = category(code);
  return (kind == UTF8PROC_CATEGORY_CC || kind == UTF8PROC_CATEGORY_CF || kind == UTF8PROC_CATEGORY_CO) &&
         !within(differences::plain, code);
}

bool is_punctuation(char32_t code) {
  if (code < 0x80)
    return (code >= 33 && code <= 47) || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) ||
           (code >= 123 && code <= 126);
  if (one_of(differences::punctuation, code)) return true;
  const auto kind = category(code);
  return kind >= UTF8PROC_CATEGORY_PC && kind <= UTF8PROC_CATEGORY_PO && !within(differences::plain, code);
}

bool is_nonspacing_mark(char32_t code) {
  if (code < 0x300) return false;
  if (one_of(differences::nonspacing_marks, code)) return true;
  if (one_of(differences::punctuation, code)) return false;
  return category(code) == UTF8PROC_CATEGORY_MN && !within(differences::plain, code);
}

bool is_chinese(char32_t code) {
  return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
         (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B81F) ||
         (code >= 0x2B920 &&
          code <= 0x2CEAF) ||  // from 2B920, as `tokenizers` has it; the block begins at 2B820
         (code >= 0xF900 && code <= 0xFAFF) ||
         (code >= 0x2F800 && code <= 0x2FA1F);
}

bool is_word_character(char32_t code) {
  switch (category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:  // joiners, and the circled and squared letters that are alphabetic
      return code == 0x200C || code == 0x200D || (code >= 0x24B6 && code <= 0x24E9) ||
             (code >= 0x1F130 && code <= 0x1F149) || (code >= 0x1F150 && code <= 0x1F169) ||
             (code >= 0x1F170 && code <= 0x1F189);
  }
}

int combining_class(char32_t code) {
  if (code < 0x300 || within(differences::indivisible, code)) return 0;
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(code))->combining_class;
}

void append_lowercase(std::u32string& text, char32_t code) {
  if (code == 0x130) {  // the one letter whose lower case is two code points
    text += {0x69, 0x307};
    return;
  }
  for (const auto& range : differences::lowercase)
    if (code >= range.first && code <= range.last && (code - range.first) % range.step == 0) {
      text += static_cast<char32_t>(static_cast<int32_t>(code) + range.offset);
      return;
    }
  text += static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
}

void append_decomposed(std::u32string& text, char32_t code) {
  utf8proc_int32_t parts[8];
  int last_class = 0;
  const auto count = code < 0xC0 || within(differences::indivisible, code)
                         ? 0
                         : utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), parts,
                                                   std::ssize(parts), UTF8PROC_DECOMPOSE, &last_class);
  if (count <= 0) text += code;
  for (int i = 0; i < count; ++i) text += static_cast<char32_t>(parts[i]);
}

}  // namespace tenon
