// What this machine can do at best, measured: the measure for "percent of peak" in benchmarks, and the
// ceiling that no figure may exceed.
#pragma once

namespace tenon {

struct Peak {
  double gflops = 0;  // fp32 multiply-adds in registers on all threads, 2 operations each
  double copy_gb_s =
      0;  // a copy of memory far beyond the caches on all threads, bytes read plus bytes written
};

// Takes about half a second.
Peak measure_peak();

double measure_multiply_adds();  // gflops of Peak; 0 without AVX2 and AVX-512
double measure_copy();           // copy_gb_s of Peak
double measure_read();           // GB/s, reading alone

namespace detail {  // the number of multiply-adds done, so many rounds of a dozen registers or more
double multiply_adds_avx512(long rounds);
double multiply_adds_avx2(long rounds);
}  // namespace detail

}  // namespace tenon
