// An index outside its table ends in one sentence on every device: on the cpu before anything is read,
// elsewhere when the host next waits for the device.
#include "kernels/base/verify.h"
#include "tests/catch.h"

using namespace tenon;

namespace {

// Puts the value at a place of an index tensor and runs the variant; then waits.
void run_with(const AnyOperation& operation, size_t variant, size_t case_index, std::string_view tensor,
              size_t place, int32_t value) {
  Problem host(operation.args(DType::f32, case_index), Device::cpu);
  operation.fill(host.args(), DType::f32, case_index);
  for (const auto& [name, view] : host.args().inputs) {
    if (is_floating(view->dtype)) std::fill_n(view->as<char>(), view->bytes(), '\0');
    if (name == tensor) view->as<int32_t>()[place] = value;
  }
  const Device device = operation.variant(variant).device;
  Problem problem(operation.clone(host.args()), device);
  problem.load_inputs(host);
  operation.run(variant, problem.args(), Stream::current(device));
  Stream::current(device).synchronize();
}

std::string message_of(const AnyOperation& operation, size_t variant, size_t case_index,
                       std::string_view tensor, size_t place, int32_t value) {
  try {
    run_with(operation, variant, case_index, tensor, place, value);
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was said";
}

template <class Body>
void for_each_variant(std::string_view name, const Body& body) {
  const AnyOperation* operation = find_operation(name);
  REQUIRE(operation != nullptr);
  for (size_t variant = 0; variant < operation->variant_count(); ++variant) {
    const VariantInfo& about = operation->variant(variant);
    if (!has_device(about.device) || !about.takes(DType::f32)) continue;
    INFO(name << "/" << to_string(about.device) << "/" << about.name);
    body(*operation, variant);
  }
}

}  // namespace

TEST_CASE("an index outside its table is named on every device, and only once") {
  constexpr size_t shape =
      2;  // 5 rows of a vocabulary of 100, 7 positions, 2 types; 100 rows of a tensor of 3
  for (std::string_view name : {"embedding", "embedding_backward"})
    for_each_variant(name, [&](const AnyOperation& operation, size_t variant) {
      CHECK(message_of(operation, variant, shape, "ids", 3, 100) ==
            "token id 100 at row 3 is past the vocabulary of 100; use the tokenizer of this encoder");
      CHECK(message_of(operation, variant, shape, "positions", 4, -1) ==
            "position -1 at row 4 is below the position table of 7; lower --max-length");
      CHECK(message_of(operation, variant, shape, "token_types", 0, 2) ==
            "token type 2 at row 0 is past the token type table of 2; give 0, or 1 for a second text");
      CHECK_NOTHROW(run_with(operation, variant, shape, "ids", 3, 99));
    });
  for (std::string_view name : {"gather_rows", "gather_rows_backward"})
    for_each_variant(name, [&](const AnyOperation& operation, size_t variant) {
      CHECK(message_of(operation, variant, shape, "index", 97, 3) ==
            "index 3 at place 97 picks no row of a tensor that has 3");
      CHECK_NOTHROW(run_with(operation, variant, shape, "index", 97, 2));
    });
}

TEST_CASE("a copy to the host waits, and so it tells of an index outside its table") {
  const AnyOperation& gather = *find_operation("gather_rows");
  for (size_t variant = 0; variant < gather.variant_count(); ++variant) {
    const Device device = gather.variant(variant).device;
    if (device == Device::cpu || !has_device(device)) continue;
    Problem host(gather.args(DType::f32, 0), Device::cpu), problem(gather.args(DType::f32, 0), device);
    for (const auto& [name, view] : host.args().inputs) std::fill_n(view->as<char>(), view->bytes(), '\x01');
    problem.load_inputs(host);
    gather.run(variant, problem.args(), Stream::current(device));
    float element = 0;
    const auto read = [&] {
      copy(&element, Device::cpu, problem.args().outputs[0].view->data, device, sizeof element);
    };
    CHECK_THROWS_WITH(read(), "index 16843009 at place 0 picks no row of a tensor that has 1");
    CHECK_NOTHROW(read());
  }
}
