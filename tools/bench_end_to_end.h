// tenon bench --end-to-end op=a,b,c: what a variant does to a real training. The same steps with each
// variant, in turn, so that whatever disturbs the machine meets all of them.
#pragma once
#include "models/sentiment/settings.h"
#include "tools/commands.h"

namespace tenon {

struct EndToEnd {
  std::string comparison;  // "op=a,b,c"; empty: not asked for
  SentimentSettings settings;
  int64_t steps = 200;
  std::string svg_file, json_file;

  void add_to(CLI::App& command);  // without --data, which is also another comparison's
  // dtype: as of `tenon bench`, f32 where `tenon train` says fp32. Throws where a variant is unknown, cannot
  // run, or has no part in these steps.
  void run(ComputeOptions compute, const std::string& dtype);
};

}  // namespace tenon
