// A small pool of threads that wait briefly awake and then asleep. OpenMP would do the same work, but its
// runtime spins on after a loop, which steals cores from whatever is measured beside it, and its barriers
// are invisible to the thread sanitizer.
#include "kernels/cpu/parallel.h"

#include <immintrin.h>
#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "kernels/base/error.h"

namespace tenon {
namespace {

thread_local bool inside_parallel = false;

// Subnormal numbers are taken for zero inside a loop, on every thread alike: a gradient that vanishes over
// hundreds of steps would otherwise cost twenty times the time of an ordinary one.
class FlushSubnormals {
 public:
  FlushSubnormals() { _mm_setcsr(before_ | _MM_FLUSH_ZERO_ON | denormals_are_zero); }
  ~FlushSubnormals() { _mm_setcsr(before_); }

 private:
  static constexpr unsigned denormals_are_zero = 0x40;
  const unsigned before_ = _mm_getcsr();
};

class Pool {
 public:
  explicit Pool(int threads) {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
  }
  ~Pool() {
    stop_ = true;
    publish();
    for (auto& worker : workers_) worker.join();
  }
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  void run(int64_t count, const std::function<void(int64_t)>& task) {
    std::lock_guard one_loop_at_a_time(loop_mutex_);
    task_ = &task;
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
    error_ = nullptr;
    busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    publish();
    take_tasks();
    wait_until([this] { return busy_.load(std::memory_order_acquire) == 0; });
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void publish() {
    {
      std::lock_guard lock(sleep_mutex_);
      generation_.fetch_add(1, std::memory_order_release);
    }
    sleep_.notify_all();
  }

  template <class Ready>
  static bool spin(const Ready& ready, int rounds) {
    for (int i = 0; i < rounds; ++i) {
      if (ready()) return true;
      _mm_pause();
    }
    return ready();
  }

  template <class Ready>
  static void wait_until(const Ready& ready) {
    while (!spin(ready, 4096)) sched_yield();
  }

  void take_tasks() {
    const FlushSubnormals flush;
    inside_parallel = true;
    for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) {
      try {
        (*task_)(i);
      } catch (...) {
        std::lock_guard lock(error_mutex_);
        if (!error_) error_ = std::current_exception();
        next_.store(count_, std::memory_order_relaxed);
      }
    }
    inside_parallel = false;
  }

  void work() {
    uint64_t seen = 0;
    while (true) {
      const auto has_work = [&] { return generation_.load(std::memory_order_acquire) != seen; };
      if (!spin(has_work, 2048)) {
        std::unique_lock lock(sleep_mutex_);
        sleep_.wait(lock, has_work);
      }
      ++seen;
      if (stop_) return;
      take_tasks();
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::vector<std::thread> workers_;
  std::mutex loop_mutex_, sleep_mutex_, error_mutex_;
  std::condition_variable sleep_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int64_t> next_{0};
  std::atomic<int> busy_{0};
  std::atomic<bool> stop_{false};
  int64_t count_ = 0;
  const std::function<void(int64_t)>* task_ = nullptr;
  std::exception_ptr error_;
};

int default_threads() {
  if (const char* wanted = std::getenv("TENON_THREADS")) {
    const int threads = std::atoi(wanted);
    check(threads >= 1, "TENON_THREADS is '", wanted, "'; give a number of threads from 1 up");
    return threads;
  }
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return CPU_COUNT(&cores);
  return static_cast<int>(std::thread::hardware_concurrency());
}

std::unique_ptr<Pool>& pool() {
  static std::unique_ptr<Pool> the_pool = std::make_unique<Pool>(default_threads());
  return the_pool;
}

}  // namespace

int thread_count() { return pool()->threads(); }

void set_thread_count(int threads) {
  check(threads >= 1, "the number of threads must be 1 or more, not ", threads);
  if (threads != thread_count()) {
    pool().reset();
    pool() = std::make_unique<Pool>(threads);
  }
}

void parallel(int64_t count, const std::function<void(int64_t)>& task) {
  if (count <= 1 || inside_parallel || thread_count() == 1) {
    const FlushSubnormals flush;
    for (int64_t i = 0; i < count; ++i) task(i);
    return;
  }
  pool()->run(count, task);
}

}  // namespace tenon
