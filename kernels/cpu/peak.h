// What this machine can do at best, measured: the measure for "percent of peak" in benchmarks.
#pragma once

namespace tenon {

struct Peak {
  double gflops = 0;  // fp32 multiply-adds in registers on all threads, 2 operations each
  double copy_gb_s =
      0;  // a copy of memory far beyond the caches on all threads, bytes read plus bytes written
};

// Takes about half a second.
Peak measure_peak();

namespace detail {  // the number of multiply-adds done, so many rounds of a dozen registers or more
double multiply_adds_avx512(long rounds);
double multiply_adds_avx2(long rounds);
}  // namespace detail

}  // namespace tenon
