// What surrounds the memory of a device: counts of what a GPU would wait for, a limit, uploads through a
// ring, and what is said of a GPU that cannot be used or of a kernel that failed.
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <deque>
#include <set>

#include "engine/ops.h"
#include "kernels/base/event.h"
#include "kernels/base/gpu.h"
#include "kernels/base/launches.h"
#include "kernels/base/memory.h"
#include "kernels/base/philox.h"
#include "kernels/base/select.h"
#include "kernels/base/staging_ring.h"
#include "kernels/simt/device_memory.h"
#include "tests/tensors.h"

using namespace tenon;
using namespace tenon::test;
using Catch::Matchers::Contains;

namespace {

uint64_t waits(Device device) { return memory_stats(device).synchronisations; }

struct MemoryLimit {
  explicit MemoryLimit(size_t bytes) { set_memory_limit(Device::simt, bytes); }
  ~MemoryLimit() { set_memory_limit(Device::simt, 0); }
};

constexpr size_t mebibyte = 1 << 20;

}  // namespace

TEST_CASE("reading from a device and waiting for it are counted, uploads and copies within it are not") {
  const uint64_t before = waits(Device::simt);
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3}, Device::simt);
  Tensor y = x.clone();
  y.rows(1, 2).copy_from(x.rows(0, 1));
  Tensor::zeros({5}, DType::f32, Device::simt).zero();
  CHECK(waits(Device::simt) == before);
  CHECK(y.to_vector<float>() == std::vector<float>{1, 1, 3});
  CHECK(waits(Device::simt) == before + 1);
  CHECK(y.rows(2, 3).item() == 3);
  CHECK(waits(Device::simt) == before + 2);
  y.to(Device::cpu);
  Stream::current(Device::simt).synchronize();
  CHECK(waits(Device::simt) == before + 4);
}

TEST_CASE("on the cpu nothing waits") {
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3});
  x.to_vector<float>();
  Stream::current(Device::cpu).synchronize();
  CHECK(waits(Device::cpu) == 0);
}

TEST_CASE("the gradient of a sum stays on the device") {
  const Tensor x = leaf(Tensor::from(std::vector<float>{1, 2, 3, 4}, {2, 2}, Device::simt));
  const uint64_t before = waits(Device::simt);
  scale(mean(x), 8).backward();
  CHECK(waits(Device::simt) == before);
  CHECK(x.grad().to_vector<float>() == std::vector<float>{2, 2, 2, 2});
}

TEST_CASE("host code that touches simt's memory ends with a message, as it would with a GPU") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  SKIPPED("a sanitizer keeps the memory open");
#endif
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3}, Device::simt);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    simt::explain_host_access();  // Catch has the signal
    _exit(*static_cast<volatile float*>(x.data()) == 1 ? 0 : 1);
  }
  close(ends[1]);
  std::string message;
  char chunk[512];
  while (const ssize_t count = read(ends[0], chunk, sizeof chunk))
    message.append(chunk, static_cast<size_t>(count));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 134);
  CHECK_THAT(message, Contains("host code touched the device's memory, at "));
}

TEST_CASE("simt's memory is NaN when it is handed out, also a second time") {
  for (int i = 0; i < 2; ++i) {
    const Tensor x({100}, DType::f32, Device::simt);
    for (const float value : x.to_vector<float>()) CHECK(std::isnan(value));
    Tensor(x).zero();
  }
}

TEST_CASE("out of memory says how much was asked for, what is in use and what to lower") {
  release_cached(Device::simt);
  const size_t in_use = memory_stats(Device::simt).in_use;
  const MemoryLimit limit(in_use + 4 * mebibyte);
  const Buffer two(Device::simt, 2 * mebibyte);
  CHECK_THAT(message_of([] { Buffer(Device::simt, 3 * mebibyte); }),
             Contains("out of memory on simt: 3 MiB were asked for while 2") && Contains("MiB are in use") &&
                 Contains("--batch-size") && Contains("--token-budget") && Contains("--accumulate"));
}

TEST_CASE("kept blocks are given back before memory is called exhausted") {
  release_cached(Device::simt);
  const MemoryLimit limit(memory_stats(Device::simt).in_use + 4 * mebibyte);
  { const Buffer three(Device::simt, 3 * mebibyte); }
  CHECK(memory_stats(Device::simt).cached >= 3 * mebibyte);
  const Buffer two(Device::simt, 2 * mebibyte);
  CHECK(memory_stats(Device::simt).cached == 0);
}

TEST_CASE("places of a staging ring never overlap what is under way, and are given up oldest first") {
  constexpr size_t bytes = 1000, most = 7;
  StagingRing ring(bytes, most);
  std::deque<StagingRing::Place> under_way;
  uint64_t waited = 0;
  size_t longest_queue = 0;
  for (uint64_t i = 0; i < 5000; ++i) {
    const size_t size = i % 50 == 0 ? bytes : 1 + RandomKey{1, 0, 0}(i) % 300;
    const auto place = ring.take(size, [&](uint64_t number) {
      REQUIRE(number == waited++);
      REQUIRE(under_way.front().number == number);
      under_way.pop_front();
    });
    REQUIRE(place.number == i);
    REQUIRE(place.end - place.begin == size);
    REQUIRE(place.end <= bytes);
    for (const auto& other : under_way) REQUIRE((other.end <= place.begin || place.end <= other.begin));
    under_way.push_back(place);
    longest_queue = std::max(longest_queue, under_way.size());
    REQUIRE(under_way.size() <= most);
  }
  CHECK(longest_queue > 3);
}

TEST_CASE("a GPU that cannot be used is told apart by why") {
  const GpuFacts good{
      .driver = 13000, .runtime = 13000, .devices = 1, .capability = 90, .built_for = "8.0, 9.0"};
  CHECK(why_no_gpu(good).empty());
  const auto why = [&](auto change) {
    GpuFacts facts = good;
    change(facts);
    return why_no_gpu(facts);
  };
  CHECK_THAT(why([](GpuFacts& f) { f.driver = 0; }), Contains("no NVIDIA driver"));
  CHECK_THAT(why([](GpuFacts& f) { f.driver = 12040, f.error = "insufficient"; }),
             Contains("CUDA up to 12.4") && Contains("needs 13.0") && Contains("update"));
  CHECK(why([](GpuFacts& f) { f.driver = 13010; }).empty());
  CHECK_THAT(why([](GpuFacts& f) { f.devices = 0; }), Contains("no GPU"));
  CHECK_THAT(why([](GpuFacts& f) { f.capability = 75; }), Contains("7.5") && Contains("8.0"));
  CHECK_THAT(why([](GpuFacts& f) { f.capability = 120, f.has_code = false; }),
             Contains("12.0") && Contains("8.0, 9.0") && Contains("-DCMAKE_CUDA_ARCHITECTURES=120"));
  CHECK(why([](GpuFacts& f) { f.error = "the device is busy"; }) == "the device is busy");
}

TEST_CASE("the last launches are named, the latest first, until they are known to have ended well") {
  forget_launches();
  CHECK(last_launches().empty());
  note_launch("a.cu", 1);
  note_launch("b.cu", 2);
  CHECK(last_launches() == "b.cu:2, a.cu:1");
  for (int line = 3; line <= 20; ++line) note_launch("c.cu", line);
  CHECK_THAT(last_launches(), Catch::StartsWith("c.cu:20, c.cu:19") && Catch::EndsWith("c.cu:13"));
  forget_launches();
  CHECK(last_launches().empty());
}

TEST_CASE("a forced variant that is none of the device is refused") {
  struct Clear {
    ~Clear() { clear_forced_variants(); }
  } const at_the_end;
  force_variants("matmul=eigen");
  check_forced_variants(Device::cpu);
  CHECK_THAT(message_of([] { check_forced_variants(Device::simt); }),
             Contains("matmul=eigen") && Contains("simt") && Contains("for cpu"));
}

TEST_CASE("events measure the time between them") {
  Event begin(Device::cpu), end(Device::cpu);
  begin.record(Stream::current(Device::cpu));
  end.record(Stream::current(Device::cpu));
  end.wait();
  CHECK(end.seconds_since(begin) >= 0);
  CHECK(end.seconds_since(begin) < 10);
}
