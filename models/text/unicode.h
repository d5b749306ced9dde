// The Unicode properties BERT's tokeniser asks for, as HuggingFace `tokenizers` 0.23 answers them. utf8proc
// is the base; unicode_differences.h holds the few places where the older or newer tables of `tokenizers` say
// otherwise.
#pragma once
#include <string>

namespace tenon {

// Decodes the code point at `text` (text < end) and moves past it. Invalid bytes give U+FFFD, one for each
// maximal invalid part, which is what Python's bytes.decode(errors="replace") does.
char32_t decode_utf8(const char*& text, const char* end);
void append_utf8(std::string& text, char32_t code);

bool is_whitespace(char32_t code);   // White_Space
bool is_control(char32_t code);      // Cc, Cf, Co; tab, line feed and carriage return count as whitespace
bool is_punctuation(char32_t code);  // P*, and all of ASCII that is neither letter, digit, control nor space
bool is_nonspacing_mark(char32_t code);  // Mn
bool is_chinese(char32_t code);          // the blocks of ideographs that BERT splits into single characters
bool is_word_character(char32_t code);   // \w of regular expressions: letters, marks, digits, connectors
int combining_class(char32_t code);      // canonical combining class, 0 for a starter
void append_lowercase(std::u32string& text, char32_t code);
void append_decomposed(std::u32string& text,
                       char32_t code);  // full canonical decomposition, not yet reordered

}  // namespace tenon
