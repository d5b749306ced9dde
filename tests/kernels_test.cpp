// One loop over everything that is registered: operations, variants, element types, cases. Nobody writes a
// test for a single variant. Prints the matrix of what ran.
#include <algorithm>
#include <map>

#include "kernels/base/select.h"
#include "kernels/base/verify.h"
#include "kernels/simt/emulator.h"
#include "tests/catch.h"

using namespace tenon;

namespace {

bool testable(Device device) { return has_device(device); }
bool takes_large_cases(Device device) { return device == Device::cuda; }

// A kernel on the emulator must be right whichever of its threads goes first.
std::vector<simt::Schedule> schedules(Device device) {
  if (device != Device::simt) return {{}};
  return {{simt::Order::random, 1},
          {simt::Order::random, 2},
          {simt::Order::reversed, 0},
          {simt::Order::greedy, 0}};
}

struct Tally {
  int ran = 0, unsupported = 0;
};

void run_case(const AnyOperation& operation, DType dtype, size_t index, const CaseInfo& info,
              std::map<std::string, Tally>& matrix) {
  const Verifier verifier(operation, dtype, index, 20260101 + index);
  for (size_t variant = 0; variant < operation.variant_count(); ++variant) {
    const VariantInfo& about = operation.variant(variant);
    if (!testable(about.device) || (info.large && !takes_large_cases(about.device))) continue;
    if (!about.takes(dtype)) continue;
    INFO(operation.name() << "/" << to_string(about.device) << "/" << about.name << "/" << to_string(dtype)
                          << "/" << info.name);
    Tally& tally = matrix[str(about.device, " ", about.name, " ", dtype)];
    if (!operation.supports(variant, verifier.inputs().args()).empty()) {
      ++tally.unsupported;
      continue;
    }
    ++tally.ran;
    for (const simt::Schedule& schedule : schedules(about.device)) {
      INFO("schedule " << static_cast<int>(schedule.order) << ", seed " << schedule.seed);
      simt::set_schedule(schedule);
      CHECK(verifier.judge(variant, about.device) == "");
    }
  }
}

}  // namespace

TEST_CASE("every variant agrees with the fp64 reference on every case of its contract") {
  REQUIRE(!operations().empty());
  for (const AnyOperation* operation : operations()) {
    std::map<std::string, Tally> matrix;
    for (DType dtype : operation->dtypes()) {
      const std::vector<CaseInfo> cases = operation->cases(dtype);
      REQUIRE(!cases.empty());
      for (size_t i = 0; i < cases.size(); ++i)
        if (!cases[i].large) run_case(*operation, dtype, i, cases[i], matrix);
    }
    for (const auto& [variant, tally] : matrix) {
      std::printf("%-28s %-32s %3d cases, %d not supported\n", std::string(operation->name()).c_str(),
                  variant.c_str(), tally.ran, tally.unsupported);
      INFO(operation->name() << " " << variant);
      CHECK(tally.ran > 0);  // supports() is no way out
    }
  }
}

TEST_CASE("every variant gives the same bits twice") {
  for (const AnyOperation* operation : operations())
    for (size_t variant = 0; variant < operation->variant_count(); ++variant) {
      const VariantInfo& about = operation->variant(variant);
      const DType dtype = operation->dtypes().front();
      if (about.device != Device::cpu || !about.deterministic || !about.takes(dtype)) continue;
      const auto cases = operation->cases(dtype);
      const Verifier verifier(*operation, dtype, cases.size() / 2, 7);
      if (cases[cases.size() / 2].large || !operation->supports(variant, verifier.inputs().args()).empty())
        continue;
      std::vector<std::vector<char>> results;
      for (int repeat = 0; repeat < 2; ++repeat) {
        Problem problem(operation->clone(verifier.inputs().args()), about.device);
        problem.load_inputs(verifier.inputs());
        operation->run(variant, problem.args(), Stream::current(about.device));
        std::vector<char> bits;
        for (const auto& [name, view] : problem.args().outputs)
          if (view->defined() && view->contiguous())
            bits.insert(bits.end(), view->as<char>(), view->as<char>() + view->bytes());
        results.push_back(bits);
      }
      INFO(operation->name() << "/" << about.name);
      CHECK(results[0] == results[1]);
    }
}

TEST_CASE("an operation that names its gradient has one registered") {
  for (const AnyOperation* operation : operations()) {
    INFO(operation->name());
    if (!operation->backward().empty()) CHECK(find_operation(operation->backward()) != nullptr);
  }
}
