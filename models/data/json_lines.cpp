// JSON lines: one object a line (https://jsonlines.org); blank lines are passed over.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/io/file.h"
#include "kernels/base/error.h"
#include "models/data/readers.h"

namespace tenon {
namespace {

using nlohmann::json;

json parse_object(std::string_view line, const std::string& where) {
  try {
    json object = json::parse(line);
    check(object.is_object(), where, " is not a JSON object");
    return object;
  } catch (const json::parse_error& error) {
    std::string_view reason = error.what();  // "[json.exception.parse_error.101] parse error at ..."
    reason.remove_prefix(std::min(reason.size(), reason.find("] ") + 2));
    fail(where, " is not valid JSON (", reason, ")");
  }
}

json& value_of(json& object, const std::string& key, std::string_view flag, const std::string& where) {
  if (object.contains(key)) return object[key];
  std::string keys;
  for (const auto& item : object.items()) keys += (keys.empty() ? "" : ", ") + item.key();
  fail(where, " has no \"", key, "\" but ", keys.empty() ? "no keys" : keys, "; name one of them with ",
       flag);
}

Review parse_review(std::string_view line, const Columns& columns, int64_t number, const std::string& path) {
  const std::string where = line_of(number, path);
  json object = parse_object(line, where);
  json& text = value_of(object, columns.text, "--text-column", where);
  check(text.is_string(), where, ": \"", columns.text, "\" is not a string");
  const json& label = value_of(object, columns.label, "--label-column", where);
  const std::string word = label.is_string() ? label.get<std::string>() : label.dump();  // 0, 1, false, true
  return {std::move(text.get_ref<std::string&>()), parse_label(word, where), str(number)};
}

}  // namespace

std::vector<Review> read_json_lines(const std::string& path, const Columns& columns) {
  const std::string bytes = read_file(path);
  std::string_view rest = without_bom(bytes);
  std::vector<Review> reviews;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    reviews.push_back(parse_review(line, columns, number, path));
  }
  return reviews;
}

}  // namespace tenon
