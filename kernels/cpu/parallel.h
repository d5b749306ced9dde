// Parallel loops over the processor's cores. Which piece of work a thread gets never changes a result: a
// reduction is split by the size of the problem, and a loop inside a parallel loop runs on its own thread.
#pragma once
#include <cstdint>
#include <functional>

namespace tenon {

int thread_count();
void set_thread_count(int threads);  // 1 or more; --threads, TENON_THREADS, else the cores of the machine

// Calls task(i) for i in [0, count), each once, in any order, on all threads. The first exception is
// rethrown.
void parallel(int64_t count, const std::function<void(int64_t)>& task);

// Cuts [0, size) into pieces of `grain` and calls body(begin, end) for each.
template <class Body>
void parallel_for(int64_t size, int64_t grain, const Body& body) {
  parallel((size + grain - 1) / grain, [&](int64_t piece) {
    const int64_t begin = piece * grain;
    body(begin, begin + grain < size ? begin + grain : size);
  });
}

}  // namespace tenon
