// One loop over everything that is registered: operations, variants, element types, cases; on simt also over
// the orders in which threads run. Nobody writes a test for a single variant. Prints the matrix of what ran.
// TENON_TEST_OPS=layer_norm,gelu tests these operations and their gradients alone, TENON_TEST_PART=2/4 the
// second of four parts of all operations, TENON_TEST_DEVICE=cuda this device alone, TENON_TEST_FILE=faults/
// those variants alone that a file with such a path has registered; TENON_TEST_LARGE=1 adds the cases that
// are marked large, TENON_TEST_SEED=1 draws other numbers.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>
#include <sstream>

#include "kernels/base/select.h"
#include "kernels/base/verify.h"
#include "kernels/cpu/parallel.h"
#include "kernels/simt/emulator.h"
#include "tests/catch.h"

using namespace tenon;

namespace {

// An operation and its gradient, neighbours in the list, are in different parts: both take long or neither.
std::vector<const AnyOperation*> part_of_operations(const char* part) {
  size_t number = 0, parts = 0;
  check(std::sscanf(part, "%zu/%zu", &number, &parts) == 2 && number >= 1 && number <= parts,
        "TENON_TEST_PART is '", part, "'; give one like 2/4");
  std::vector<const AnyOperation*> chosen;
  const auto all = operations();
  for (size_t i = number - 1; i < all.size(); i += parts) chosen.push_back(all[i]);
  return chosen;
}

std::vector<const AnyOperation*> tested_operations() {
  if (const char* part = std::getenv("TENON_TEST_PART")) return part_of_operations(part);
  const char* list = std::getenv("TENON_TEST_OPS");
  if (!list) return operations();
  std::vector<const AnyOperation*> chosen;
  std::stringstream names(list);
  for (std::string name; std::getline(names, name, ',');) {
    const AnyOperation* operation = find_operation(name);
    check(operation != nullptr, "TENON_TEST_OPS: there is no operation '", name, "'");
    chosen.push_back(operation);
    const AnyOperation* backward = find_operation(operation->backward());
    if (backward && backward != operation) chosen.push_back(backward);
  }
  return chosen;
}

bool is_tested(Device device) {
  static const char* const only = std::getenv("TENON_TEST_DEVICE");
  return has_device(device) && (!only || parse_device(only) == device);
}

bool is_tested(const VariantInfo& variant) {
  static const char* const file = std::getenv("TENON_TEST_FILE");
  return is_tested(variant.device) && (!file || variant.file.find(file) != std::string::npos);
}

bool tests_large_cases() {
  const char* value = std::getenv("TENON_TEST_LARGE");
  return value && value[0] == '1';
}

// Of the numbers of a case.
uint64_t seed_of(size_t index) {
  static const char* const value = std::getenv("TENON_TEST_SEED");
  return 20260101 + index + 1000 * (value ? std::strtoull(value, nullptr, 10) : 0);
}

// What hides under one order shows under another.
struct Schedule {
  std::string name;
  simt::Schedule value;
};
const std::vector<Schedule>& schedules(Device device) {
  using enum simt::Order;
  static const std::vector<Schedule> own = {{"", {}}};
  static const std::vector<Schedule> all = {{"/greedy", {greedy, 0}},
                                            {"/reversed", {reversed, 0}},
                                            {"/random 1", {random, 1}},
                                            {"/random 2", {random, 2}}};
  return device == Device::simt ? all : own;
}

std::string judge(const Verifier& verifier, size_t variant, Device device) {
  try {
    return verifier.judge(variant, device);
  } catch (const std::exception& error) {  // a fault that the emulator found, or a failed launch
    return error.what();
  }
}

struct Tally {
  int ran = 0, unsupported = 0;
};

void run_case(const AnyOperation& operation, DType dtype, size_t index, const CaseInfo& info,
              std::map<std::string, Tally>& matrix) {
  const Verifier verifier(operation, dtype, index, seed_of(index));
  for (size_t variant = 0; variant < operation.variant_count(); ++variant) {
    const VariantInfo& about = operation.variant(variant);
    if (!is_tested(about) || !about.takes(dtype)) continue;
    Tally& tally = matrix[str(about.device, " ", about.name, " ", dtype)];
    if (!operation.supports(variant, verifier.inputs().args()).empty()) {
      ++tally.unsupported;
      continue;
    }
    ++tally.ran;
    for (const Schedule& schedule : schedules(about.device)) {
      INFO(operation.name() << "/" << to_string(about.device) << "/" << about.name << "/" << to_string(dtype)
                            << "/" << info.name << schedule.name);
      simt::set_schedule(schedule.value);
      CHECK(judge(verifier, variant, about.device) == "");
    }
    simt::set_schedule({});
  }
}

// Why no variant on the device takes the case; empty if one does.
std::string why_none(const AnyOperation& operation, DType dtype, size_t index, Device device) {
  std::string reasons = "no kernel takes this type there";
  for (size_t i = 0; i < operation.variant_count(); ++i) {
    const VariantInfo& variant = operation.variant(i);
    if (variant.device != device || !variant.takes(dtype)) continue;
    const std::string why_not = operation.supports(i, operation.args(dtype, index));
    if (why_not.empty()) return "";
    reasons = str(variant.name, ": ", why_not);
  }
  return reasons;
}

// The cases of an element type that lack a kernel on the device; empty if none does.
std::string missing(const AnyOperation& operation, DType dtype, Device device) {
  const std::vector<CaseInfo> cases = operation.cases(dtype);
  std::string first;
  int count = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    const std::string why = why_none(operation, dtype, i, device);
    if (!why.empty() && count++ == 0) first = str("'", cases[i].name, "': ", why);
  }
  return count ? str(count, " of ", cases.size(), " cases lack a kernel, the first is ", first) : "";
}

std::vector<std::vector<char>> outputs_of(const Problem& problem, Device device) {
  std::vector<std::vector<char>> all;
  for (const auto& [name, view] : problem.args().outputs) {
    if (!view->defined() || !view->contiguous()) continue;
    all.emplace_back(view->bytes());
    copy(all.back().data(), Device::cpu, view->data, device, view->bytes());
  }
  return all;
}

// Whether the variant's outputs have the same bits each time: on simt in whatever order its threads run, on
// the cpu with however many.
bool repeats(const AnyOperation& operation, size_t variant, Device device, const Verifier& verifier) {
  std::vector<std::vector<std::vector<char>>> results;
  std::vector<Schedule> orders = schedules(device);
  if (orders.size() == 1) orders.resize(3);
  const int before = thread_count();
  for (const Schedule& order : orders) {
    simt::set_schedule(order.value);
    set_thread_count(static_cast<int>(results.size()) % 3 + 1);
    Problem problem(operation.clone(verifier.inputs().args()), device);
    problem.load_inputs(verifier.inputs());
    operation.run(variant, problem.args(), Stream::current(device));
    results.push_back(outputs_of(problem, device));
  }
  simt::set_schedule({});
  set_thread_count(before);
  return std::all_of(results.begin(), results.end(), [&](const auto& each) { return each == results[0]; });
}

}  // namespace

TEST_CASE("every variant agrees with the fp64 reference on every case of its contract") {
  REQUIRE(!tested_operations().empty());
  for (const AnyOperation* operation : tested_operations()) {
    std::map<std::string, Tally> matrix;
    const std::clock_t start = std::clock();
    for (DType dtype : operation->dtypes()) {
      const std::vector<CaseInfo> cases = operation->cases(dtype);
      REQUIRE(!cases.empty());
      for (size_t i = 0; i < cases.size(); ++i)
        if (!cases[i].large || tests_large_cases()) run_case(*operation, dtype, i, cases[i], matrix);
    }
    for (const auto& [variant, tally] : matrix) {
      std::printf("%-28s %-32s %3d cases, %d not supported\n", std::string(operation->name()).c_str(),
                  variant.c_str(), tally.ran, tally.unsupported);
      INFO(operation->name() << " " << variant);
      CHECK(tally.ran > 0);  // supports() is no way out
    }
    std::printf("%-28s %.1f s on a processor\n", std::string(operation->name()).c_str(),
                static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
}

// supports() is no way out, and neither is leaving an element type or a device to others.
TEST_CASE("on every device some variant takes each case of each contract") {
  for (const AnyOperation* operation : tested_operations())
    for (Device device : {Device::cpu, Device::cuda, Device::simt}) {
      if (!is_tested(device)) continue;
      for (DType dtype : operation->dtypes()) {
        if (dtype == DType::f64 && device != Device::cpu) continue;
        INFO(operation->name() << "/" << to_string(device) << "/" << to_string(dtype));
        CHECK(missing(*operation, dtype, device) == "");
      }
    }
}

TEST_CASE("every variant gives the same bits again") {
  for (const AnyOperation* operation : tested_operations()) {
    const DType dtype = operation->dtypes().front();
    const auto cases = operation->cases(dtype);
    for (size_t i = 0; i < cases.size(); ++i) {
      if (cases[i].large) continue;
      const Verifier verifier(*operation, dtype, i, 7);
      for (size_t variant = 0; variant < operation->variant_count(); ++variant) {
        const VariantInfo& about = operation->variant(variant);
        if (!is_tested(about) || !about.deterministic || !about.takes(dtype)) continue;
        if (about.device == Device::simt && i != cases.size() / 2) continue;  // four orders take their time
        if (!operation->supports(variant, verifier.inputs().args()).empty()) continue;
        INFO(operation->name() << "/" << to_string(about.device) << "/" << about.name << "/"
                               << cases[i].name);
        CHECK(repeats(*operation, variant, about.device, verifier));
      }
    }
  }
}

TEST_CASE("an operation that names its gradient has one registered") {
  for (const AnyOperation* operation : operations()) {
    INFO(operation->name());
    if (!operation->backward().empty()) CHECK(find_operation(operation->backward()) != nullptr);
  }
}

TEST_CASE("no contract allows more than three times plain's error") {
  for (const AnyOperation* operation : operations())
    for (DType dtype : operation->dtypes()) {
      INFO(operation->name() << "/" << to_string(dtype));
      CHECK(operation->tolerance(dtype).factor <= 3);
    }
}
