// Kernels that break the rules of tests/ptxas/run.py, each in one way.
__global__ void adds_in_global_memory(const float* x, float* y) { atomicAdd(y, x[threadIdx.x]); }

__global__ void adds_doubles(const double* x, double* y) { atomicAdd(y, x[threadIdx.x]); }

__global__ void adds_in_shared_memory(const float* x, float* y) {
  __shared__ float sum;
  if (threadIdx.x == 0) sum = 0;
  __syncthreads();
  atomicAdd(&sum, x[threadIdx.x]);
  __syncthreads();
  if (threadIdx.x == 0) *y = sum;
}

// More values at a time than 32 registers hold.
__global__ void __launch_bounds__(1024, 2) spills(const float* x, float* y) {
  float kept[64];
#pragma unroll
  for (int i = 0; i < 64; ++i) kept[i] = x[1024 * i + threadIdx.x];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 64; ++i) y[1024 * i + threadIdx.x] = kept[i] * kept[63 - i] + kept[(7 * i) % 64];
}

__global__ void counts(const int* x, int* y) {
  __shared__ int sum;
  if (threadIdx.x == 0) sum = 0;
  __syncthreads();
  atomicAdd(&sum, x[threadIdx.x]);
  atomicMax(y + 1, x[threadIdx.x]);
  __syncthreads();
  if (threadIdx.x == 0) atomicAdd(y, sum);
}
