// Sums of maps that are enlarged to the grid of the finest, in one pass: the exchange of HRNet.
//
// y = [relu] (enlarged(x_0) + enlarged(x_1) + ...), maps (N, h, w, C) in float32, dense; the sum is
// taken in the order of the maps. Each row of the result mixes two rows of a coarser map, then two
// neighbours in that row.

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "dnnl.h"
#include "worker.h"
#include "xla/ffi/api/ffi.h"

// Of the OpenMP library that oneDNN brings; a compiler without OpenMP does not know them.
extern "C" {
void GOMP_parallel(void (*function)(void*), void* data, unsigned threads, unsigned flags)
    __attribute__((weak));
int omp_get_thread_num() __attribute__((weak));
int omp_get_num_threads() __attribute__((weak));
int omp_get_max_threads() __attribute__((weak));
}

namespace {

namespace ffi = xla::ffi;
using hrnet_jax::Scratch;
using hrnet_jax::Worker;

#define HRNET_INLINE inline __attribute__((always_inline))

struct Map {
  float* data;
  int64_t h, w;
  // Of rows and columns; null where the map is on the grid of the result.
  const int32_t *low_y, *high_y, *low_x, *high_x;
  const float *weight_y, *weight_x;
};

struct Task {
  std::vector<Map> maps;
  float* y;
  int64_t n, h, w, c;
  int64_t mixed;  // floats of the widest row of a coarser map
  bool relu;
};

enum class Write { kSet, kAdd };

// row = a * (1 - weight) + b * weight, n floats.
HRNET_INLINE void Mix(const float* __restrict a, const float* __restrict b, float weight,
                      float* __restrict row, int64_t n) {
  const float rest = 1 - weight;
  for (int64_t i = 0; i < n; ++i) row[i] = a[i] * rest + b[i] * weight;
}

// sum += a * weight, n floats.
HRNET_INLINE void Add(const float* __restrict a, float weight, float* __restrict sum, int64_t n) {
  for (int64_t i = 0; i < n; ++i) sum[i] += a[i] * weight;
}

template <Write write, bool relu>
HRNET_INLINE void Put(const Map& map, const float* __restrict row, float* __restrict y, int64_t w,
                      int64_t c) {
  const auto store = [](float* y, float value) __attribute__((always_inline)) {
    if (write == Write::kAdd) value = *y + value;
    *y = relu ? (value > 0 ? value : (value <= 0 ? 0 : value)) : value;  // NaN stays
  };
  if (map.low_x == nullptr) {
    for (int64_t i = 0; i < w * c; ++i) store(y + i, row[i]);
    return;
  }
  for (int64_t x = 0; x < w; ++x) {
    const float* __restrict a = row + map.low_x[x] * c;
    const float* __restrict b = row + map.high_x[x] * c;
    const float weight = map.weight_x[x], rest = 1 - weight;
    float* __restrict out = y + x * c;
    if (weight == 0) {  // so that infinity stays
      for (int64_t i = 0; i < c; ++i) store(out + i, a[i]);
      continue;
    }
    for (int64_t i = 0; i < c; ++i) store(out + i, a[i] * rest + b[i] * weight);
  }
}

// Rows `begin` to `end` of all N * H.
HRNET_INLINE void Rows(const Task& task, int64_t begin, int64_t end, float* mixed) {
  const int64_t w = task.w, c = task.c;
  for (int64_t at = begin; at < end; ++at) {
    const int64_t image = at / task.h, line = at % task.h;
    float* y = task.y + at * w * c;
    for (size_t k = 0; k < task.maps.size(); ++k) {
      const Map& map = task.maps[k];
      const int64_t width = map.w * c;
      const float* from = map.data + image * map.h * width;
      const float* row = from + line * width;
      if (map.low_y != nullptr) {
        row = from + map.low_y[line] * width;
        if (map.weight_y[line] != 0) {
          Mix(row, from + map.high_y[line] * width, map.weight_y[line], mixed, width);
          row = mixed;
        }
      }
      const bool last = task.relu && k + 1 == task.maps.size();
      if (k == 0) {
        last ? Put<Write::kSet, true>(map, row, y, w, c) : Put<Write::kSet, false>(map, row, y, w, c);
      } else {
        last ? Put<Write::kAdd, true>(map, row, y, w, c) : Put<Write::kAdd, false>(map, row, y, w, c);
      }
    }
  }
}

// The gradient of an enlargement: rows `begin` to `end` of all N * h of a map's gradient, each from
// the rows of the result's gradient that it was mixed into.
HRNET_INLINE void GradientRows(const Task& task, int64_t begin, int64_t end, float* mixed) {
  const Map& map = task.maps[0];
  const int64_t w = task.w, c = task.c;
  for (int64_t at = begin; at < end; ++at) {
    const int64_t image = at / map.h, line = at % map.h;
    const float* dy = task.y + image * task.h * w * c;
    std::fill_n(mixed, w * c, 0.0f);
    for (int64_t row = 0; row < task.h; ++row) {
      float weight = 0;
      if (map.low_y[row] == line) weight += 1 - map.weight_y[row];
      if (map.high_y[row] == line) weight += map.weight_y[row];
      if (weight != 0) Add(dy + row * w * c, weight, mixed, w * c);
    }
    float* dx = map.data + at * map.w * c;
    std::fill_n(dx, map.w * c, 0.0f);
    for (int64_t x = 0; x < w; ++x) {
      const float weight = map.weight_x[x];
      if (weight != 1) Add(mixed + x * c, 1 - weight, dx + map.low_x[x] * c, c);
      if (weight != 0) Add(mixed + x * c, weight, dx + map.high_x[x] * c, c);
    }
  }
}

using Kernel = void (*)(const Task&, int64_t, int64_t, float*);

// Whether oneDNN uses these vector instructions; $ONEDNN_MAX_CPU_ISA forbids some, to both.
bool Has(dnnl_cpu_isa_t instructions) {
  return (dnnl_get_effective_cpu_isa() & instructions) == instructions &&
         __builtin_cpu_supports("fma");
}

// One function for each set of vector instructions.
#define HRNET_VARIANTS(Name, Function)                                                           \
  void Name##Plain(const Task& task, int64_t begin, int64_t end, float* mixed) {                 \
    Function(task, begin, end, mixed);                                                           \
  }                                                                                              \
  __attribute__((target("avx2,fma"))) void Name##Avx2(const Task& task, int64_t begin,           \
                                                      int64_t end, float* mixed) {               \
    Function(task, begin, end, mixed);                                                           \
  }                                                                                              \
  __attribute__((target("avx512f,avx512vl,fma,prefer-vector-width=512"))) void Name##Avx512(     \
      const Task& task, int64_t begin, int64_t end, float* mixed) {                              \
    Function(task, begin, end, mixed);                                                           \
  }                                                                                              \
  Kernel Name() {                                                                                \
    return Has(dnnl_cpu_isa_avx512_core) ? Name##Avx512                                          \
           : Has(dnnl_cpu_isa_avx2)      ? Name##Avx2                                            \
                                         : Name##Plain;                                          \
  }

HRNET_VARIANTS(SumKernel, Rows)
HRNET_VARIANTS(GradientKernel, GradientRows)

struct Team {
  const Task* task;
  Kernel kernel;
  int64_t rows;
  float* mixed;  // `task->mixed` floats for each thread
};

void Share(void* data) {
  const Team& team = *static_cast<Team*>(data);
  const int64_t threads = omp_get_num_threads ? omp_get_num_threads() : 1;
  const int64_t self = omp_get_thread_num ? omp_get_thread_num() : 0;
  team.kernel(*team.task, team.rows * self / threads, team.rows * (self + 1) / threads,
              team.mixed + self * team.task->mixed);
}

// `kernel` for rows 0 to `rows`, each thread with as many of them.
void Run(const Task& task, Kernel kernel, int64_t rows, Scratch& scratch) {
  const bool team_exists = GOMP_parallel && omp_get_max_threads && omp_get_thread_num;
  const int threads = team_exists ? omp_get_max_threads() : 1;
  void* mixed = scratch.library.Get(threads * task.mixed * sizeof(float));
  Team team{&task, kernel, rows, static_cast<float*>(mixed)};
  if (team_exists) {
    GOMP_parallel(Share, &team, threads, 0);
  } else {
    Share(&team);
  }
}

// Takes one argument after the other.
class Arguments {
 public:
  explicit Arguments(ffi::RemainingArgs all) : all_(all) {}

  ffi::AnyBuffer Take() { return all_.get<ffi::AnyBuffer>(next_++).value(); }

  // Low, high and weight of rows and of columns.
  void TakePositions(const Task& task, Map& map) {
    map.low_y = Positions<int32_t>(task.h);
    map.high_y = Positions<int32_t>(task.h);
    map.weight_y = Positions<float>(task.h);
    map.low_x = Positions<int32_t>(task.w);
    map.high_x = Positions<int32_t>(task.w);
    map.weight_x = Positions<float>(task.w);
  }

 private:
  template <typename T>
  const T* Positions(int64_t size) {
    const auto buffer = Take();
    if (static_cast<int64_t>(buffer.element_count()) != size) {
      throw std::invalid_argument("positions do not fit the map");
    }
    return static_cast<const T*>(buffer.untyped_data());
  }

  ffi::RemainingArgs all_;
  size_t next_ = 0;
};

Task Describe(const ffi::AnyBuffer& y, bool relu) {
  const auto shape = y.dimensions();
  if (shape.size() != 4) throw std::invalid_argument("a map has four axes");
  return {{}, static_cast<float*>(y.untyped_data()), shape[0], shape[1], shape[2], shape[3], 0,
          relu};
}

Map Fitting(const ffi::AnyBuffer& x, const Task& task, bool coarser) {
  const auto shape = x.dimensions();
  const bool fits = shape.size() == 4 && shape[0] == task.n && shape[3] == task.c &&
                    (coarser || (shape[1] == task.h && shape[2] == task.w));
  if (!fits) throw std::invalid_argument("maps do not fit each other");
  return {static_cast<float*>(x.untyped_data()), shape[1], shape[2]};
}

// Arguments: each map, followed where `coarser` has a 1 for it by its positions.
ffi::Error Sum(ffi::RemainingArgs given, ffi::Result<ffi::AnyBuffer> y,
               ffi::Span<const int64_t> coarser, bool relu) {
  return Worker::Get().Run("sum of maps", [&](Scratch& scratch) {
    Arguments arguments(given);
    Task task = Describe(*y, relu);
    for (const int64_t resized : coarser) {
      Map map = Fitting(arguments.Take(), task, resized);
      if (resized) {
        arguments.TakePositions(task, map);
        task.mixed = std::max(task.mixed, map.w * task.c);
      }
      task.maps.push_back(map);
    }
    static const Kernel kernel = SumKernel();
    Run(task, kernel, task.n * task.h, scratch);
  });
}

// Arguments: the gradient of the result, and the positions of the map whose gradient is asked for.
ffi::Error EnlargementGradient(ffi::RemainingArgs given, ffi::Result<ffi::AnyBuffer> dx) {
  return Worker::Get().Run("gradient of an enlarged map", [&](Scratch& scratch) {
    Arguments arguments(given);
    Task task = Describe(arguments.Take(), false);
    Map map = Fitting(*dx, task, true);
    arguments.TakePositions(task, map);
    task.maps.push_back(map);
    task.mixed = task.w * task.c;
    static const Kernel kernel = GradientKernel();
    Run(task, kernel, task.n * map.h, scratch);
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(HrnetSum, Sum,
                              ffi::Ffi::Bind()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<ffi::Span<const int64_t>>("coarser")
                                  .Attr<bool>("relu"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(HrnetEnlargementGradient, EnlargementGradient,
                              ffi::Ffi::Bind().RemainingArgs().Ret<ffi::AnyBuffer>());
