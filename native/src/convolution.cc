// Convolutions of oneDNN as handlers of XLA's foreign function interface.
//
// Maps are (N, H, W, C) and kernels (window, window, C, K), dense, in float32 or bfloat16; padding
// is window / 2 before, and whatever the output needs behind.

#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "dnnl.hpp"
#include "worker.h"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;
using hrnet_jax::Buffer;
using hrnet_jax::Scratch;
using hrnet_jax::Worker;
using Arguments = std::unordered_map<int, dnnl::memory>;
using Tag = dnnl::memory::format_tag;

constexpr char kName[] = "oneDNN's convolution";

dnnl::engine& Engine() {
  static auto* engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

// Small kernels of a network for inference in the library's order. Whether one is still what it was
// is seen by comparing it with a copy, which takes a tenth of the time of reordering it.
class KernelCache {
 public:
  static constexpr size_t kMostBytes = size_t{512} << 10;

  // Where the kernel at `data` lies in the order `own`; `pack` writes it there.
  const void* Get(const void* data, size_t size, const dnnl::memory::desc& own,
                  const std::function<void(void*)>& pack) {
    Entry& entry = entries_[data];
    if (entry.own != own || entry.copy.size() != size ||
        std::memcmp(entry.copy.data(), data, size) != 0) {
      held_ += size + own.get_size() - (entry.copy.size() + entry.packed_bytes);
      if (held_ > kKept) {
        entries_.clear();
        held_ = size + own.get_size();
        return Fill(entries_[data], data, size, own, pack);
      }
      return Fill(entry, data, size, own, pack);
    }
    return entry.packed.Get(entry.packed_bytes);
  }

 private:
  static constexpr size_t kKept = size_t{256} << 20;

  struct Entry {
    dnnl::memory::desc own;
    std::vector<char> copy;
    Buffer packed;
    size_t packed_bytes = 0;
  };

  static const void* Fill(Entry& entry, const void* data, size_t size,
                          const dnnl::memory::desc& own, const std::function<void(void*)>& pack) {
    entry.copy.clear();  // nothing fits it until it is packed
    entry.packed_bytes = own.get_size();
    void* packed = entry.packed.Get(entry.packed_bytes);
    pack(packed);
    const char* begin = static_cast<const char*>(data);
    entry.copy.assign(begin, begin + size);
    entry.own = own;
    return packed;
  }

  std::unordered_map<const void*, Entry> entries_;
  size_t held_ = 0;
};

enum class Kind : int64_t { kForward, kInputGradient, kKernelGradient };

// All that a primitive depends on.
struct Problem {
  Kind kind;
  int64_t n, h, w, c, oh, ow, k, window, stride;
  bool half, bias, residual, relu;

  auto Tie() const {
    return std::tie(kind, n, h, w, c, oh, ow, k, window, stride, half, bias, residual, relu);
  }
  bool operator<(const Problem& other) const { return Tie() < other.Tie(); }
};

// A compiled problem. Descriptions are as XLA has the arrays, `own` ones as the library wants them.
struct Plan {
  dnnl::primitive primitive;
  dnnl::memory::desc source, target, weights, bias, scratch;
  dnnl::memory::desc own_source, own_target, own_weights;
  dnnl::reorder source_in, target_in, weights_move;  // into `own`; a gradient of weights out of it
};

dnnl::reorder Reorder(const dnnl::memory::desc& from, const dnnl::memory::desc& to) {
  if (from == to) return {};
  return dnnl::reorder(dnnl::reorder::primitive_desc(Engine(), from, Engine(), to));
}

// Kernel gradients of 3x3 windows want blocks of channels where they fill them: two to four times
// faster with AVX2, reordering included. With AVX-512 the library has other ways, and the blocks
// only win where the stride is 2 (64 -> 64 channels of 8x128x128: 9.6 ms instead of 15.8).
bool WantsBlocks(const Problem& p) {
  constexpr int kAvx512 = dnnl_cpu_isa_avx512_core;
  static const bool has_avx512 = (dnnl_get_effective_cpu_isa() & kAvx512) == kAvx512;
  if (p.window != 3 || p.c % 8 != 0 || p.k % 8 != 0) return false;
  return !has_avx512 || p.stride == 2;
}

Plan Compile(const Problem& p) {
  const auto type = p.half ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
  const dnnl::memory::dims strides{p.stride, p.stride};
  const int64_t before = p.window / 2;
  const dnnl::memory::dims left{before, before};
  const dnnl::memory::dims right{(p.oh - 1) * p.stride + p.window - p.h - before,
                                 (p.ow - 1) * p.stride + p.window - p.w - before};
  const dnnl::memory::dims source{p.n, p.c, p.h, p.w}, target{p.n, p.k, p.oh, p.ow};
  const dnnl::memory::dims weights{p.k, p.c, p.window, p.window};
  const auto direct = dnnl::algorithm::convolution_direct;

  Plan plan;
  plan.source = {source, type, Tag::nhwc};
  plan.target = {target, type, Tag::nhwc};
  plan.weights = {weights, type, Tag::hwio};
  const dnnl::memory::desc any_weights(weights, type, Tag::any);

  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops after;
  if (p.residual) after.append_sum();
  if (p.relu) after.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
  attributes.set_post_ops(after);

  const auto take = [&](const auto& description, const dnnl::memory::desc& own_weights) {
    plan.scratch = description.scratchpad_desc();
    plan.own_weights = own_weights;
  };
  if (p.kind == Kind::kForward) {
    const auto inference = dnnl::prop_kind::forward_inference;
    if (p.bias) plan.bias = {{p.k}, type, Tag::x};
    const dnnl::convolution_forward::primitive_desc description =
        p.bias ? dnnl::convolution_forward::primitive_desc(
                     Engine(), inference, direct, plan.source, any_weights, plan.bias, plan.target,
                     strides, left, right, attributes)
               : dnnl::convolution_forward::primitive_desc(Engine(), inference, direct, plan.source,
                                                           any_weights, plan.target, strides, left,
                                                           right, attributes);
    plan.primitive = dnnl::convolution_forward(description);
    take(description, description.weights_desc());
    plan.weights_move = Reorder(plan.weights, plan.own_weights);
    return plan;
  }
  const auto training = dnnl::prop_kind::forward_training;
  if (p.kind == Kind::kInputGradient) {
    const dnnl::convolution_forward::primitive_desc hint(Engine(), training, direct, plan.source,
                                                         any_weights, plan.target, strides, left,
                                                         right);
    const dnnl::convolution_backward_data::primitive_desc description(
        Engine(), direct, plan.source, any_weights, plan.target, strides, left, right, hint,
        attributes);
    plan.primitive = dnnl::convolution_backward_data(description);
    take(description, description.weights_desc());
    plan.weights_move = Reorder(plan.weights, plan.own_weights);
    return plan;
  }
  const Tag tag = WantsBlocks(p) ? Tag::any : Tag::nhwc;
  const dnnl::memory::desc own_source(source, type, tag), own_target(target, type, tag);
  const dnnl::convolution_forward::primitive_desc hint(
      Engine(), training, direct, own_source, any_weights, own_target, strides, left, right);
  const dnnl::convolution_backward_weights::primitive_desc description(
      Engine(), direct, own_source, any_weights, own_target, strides, left, right, hint,
      attributes);
  plan.primitive = dnnl::convolution_backward_weights(description);
  take(description, description.diff_weights_desc());
  plan.own_source = description.src_desc();
  plan.own_target = description.diff_dst_desc();
  plan.source_in = Reorder(plan.source, plan.own_source);
  plan.target_in = Reorder(plan.target, plan.own_target);
  plan.weights_move = Reorder(plan.own_weights, plan.weights);
  return plan;
}

// Only the worker's thread comes here.
Plan& Cached(const Problem& problem) {
  static auto* plans = new std::map<Problem, Plan>();
  auto found = plans->find(problem);
  if (found == plans->end()) found = plans->emplace(problem, Compile(problem)).first;
  return found->second;
}

dnnl::memory Wrap(const dnnl::memory::desc& description, const void* data) {
  return dnnl::memory(description, Engine(), const_cast<void*>(data));
}

// `from` in another order, in `buffer`; `from` itself where there is nothing to reorder.
dnnl::memory Move(dnnl::stream& stream, const dnnl::reorder& reorder, dnnl::memory from,
                  const dnnl::memory::desc& to, Buffer& buffer) {
  if (!reorder) return from;
  dnnl::memory moved = Wrap(to, buffer.Get(to.get_size()));
  reorder.execute(stream, from, moved);
  return moved;
}

// The kernel in the library's order, for inference.
dnnl::memory Packed(dnnl::stream& stream, const Plan& plan, const dnnl::memory& kernel,
                    Scratch& scratch) {
  static auto* cache = new KernelCache();
  const size_t size = plan.weights.get_size();
  if (!plan.weights_move || size > KernelCache::kMostBytes) {
    return Move(stream, plan.weights_move, kernel, plan.own_weights, scratch.weights);
  }
  return Wrap(plan.own_weights,
              cache->Get(kernel.get_data_handle(), size, plan.own_weights, [&](void* packed) {
                dnnl::memory from = kernel, to = Wrap(plan.own_weights, packed);
                plan.weights_move.execute(stream, from, to);
              }));
}

void Execute(const Plan& plan, dnnl::stream& stream, Scratch& scratch, Arguments arguments) {
  arguments[DNNL_ARG_SCRATCHPAD] =
      Wrap(plan.scratch, scratch.library.Get(plan.scratch.get_size()));
  plan.primitive.execute(stream, arguments);
}

Problem Describe(Kind kind, ffi::Span<const int64_t> x, ffi::Span<const int64_t> kernel,
                 ffi::Span<const int64_t> y, int64_t stride, ffi::DataType type) {
  const bool fit = x.size() == 4 && kernel.size() == 4 && y.size() == 4 && x[0] == y[0] &&
                   x[3] == kernel[2] && y[3] == kernel[3] && kernel[0] == kernel[1] &&
                   y[1] == (x[1] + stride - 1) / stride && y[2] == (x[2] + stride - 1) / stride;
  if (!fit) throw std::invalid_argument("input, kernel and output do not fit");
  return {kind, x[0], x[1], x[2], x[3], y[1], y[2], y[3], kernel[0], stride,
          type == ffi::DataType::BF16, false, false, false};
}

// y = act(conv(x, kernel) [+ bias] [+ residual]); the residual is in y already, or copied there.
ffi::Error Forward(ffi::AnyBuffer x, ffi::AnyBuffer kernel, ffi::RemainingArgs more,
                   ffi::Result<ffi::AnyBuffer> y, int64_t stride, bool bias, bool residual,
                   bool relu) {
  const void* added = nullptr;
  if (bias) added = more.get<ffi::AnyBuffer>(0).value().untyped_data();
  if (residual) {
    const auto given = more.get<ffi::AnyBuffer>(bias).value();
    if (given.untyped_data() != y->untyped_data()) {
      std::memcpy(y->untyped_data(), given.untyped_data(), given.size_bytes());
    }
  }
  return Worker::Get().Run(kName, [&](Scratch& scratch) {
    Problem problem = Describe(Kind::kForward, x.dimensions(), kernel.dimensions(), y->dimensions(),
                               stride, x.element_type());
    problem.bias = bias;
    problem.residual = residual;
    problem.relu = relu;
    Plan& plan = Cached(problem);
    dnnl::stream stream(Engine());
    const dnnl::memory given = Wrap(plan.weights, kernel.untyped_data());
    Arguments arguments{
        {DNNL_ARG_SRC, Wrap(plan.source, x.untyped_data())},
        {DNNL_ARG_WEIGHTS,
         bias ? Packed(stream, plan, given, scratch)  // folded norms: always the same kernel
              : Move(stream, plan.weights_move, given, plan.own_weights, scratch.weights)},
        {DNNL_ARG_DST, Wrap(plan.target, y->untyped_data())}};
    if (bias) arguments[DNNL_ARG_BIAS] = Wrap(plan.bias, added);
    Execute(plan, stream, scratch, std::move(arguments));
    stream.wait();
  });
}

ffi::Error InputGradient(ffi::AnyBuffer dy, ffi::AnyBuffer kernel, ffi::Result<ffi::AnyBuffer> dx,
                         int64_t stride) {
  return Worker::Get().Run(kName, [&](Scratch& scratch) {
    Plan& plan = Cached(Describe(Kind::kInputGradient, dx->dimensions(), kernel.dimensions(),
                                 dy.dimensions(), stride, dy.element_type()));
    dnnl::stream stream(Engine());
    Execute(plan, stream, scratch,
            {{DNNL_ARG_DIFF_DST, Wrap(plan.target, dy.untyped_data())},
             {DNNL_ARG_WEIGHTS,
              Move(stream, plan.weights_move, Wrap(plan.weights, kernel.untyped_data()),
                   plan.own_weights, scratch.weights)},
             {DNNL_ARG_DIFF_SRC, Wrap(plan.source, dx->untyped_data())}});
    stream.wait();
  });
}

ffi::Error KernelGradient(ffi::AnyBuffer x, ffi::AnyBuffer dy, ffi::Result<ffi::AnyBuffer> dkernel,
                          int64_t stride) {
  return Worker::Get().Run(kName, [&](Scratch& scratch) {
    Plan& plan = Cached(Describe(Kind::kKernelGradient, x.dimensions(), dkernel->dimensions(),
                                 dy.dimensions(), stride, x.element_type()));
    dnnl::stream stream(Engine());
    const dnnl::memory source = Move(stream, plan.source_in, Wrap(plan.source, x.untyped_data()),
                                     plan.own_source, scratch.source);
    const dnnl::memory target = Move(stream, plan.target_in, Wrap(plan.target, dy.untyped_data()),
                                     plan.own_target, scratch.target);
    dnnl::memory out = Wrap(plan.weights, dkernel->untyped_data());
    dnnl::memory weights = out;
    if (plan.weights_move) {
      weights = Wrap(plan.own_weights, scratch.weights.Get(plan.own_weights.get_size()));
    }
    Execute(plan, stream, scratch,
            {{DNNL_ARG_SRC, source}, {DNNL_ARG_DIFF_DST, target}, {DNNL_ARG_DIFF_WEIGHTS, weights}});
    if (plan.weights_move) plan.weights_move.execute(stream, weights, out);
    stream.wait();
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(HrnetConvForward, Forward,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<int64_t>("stride")
                                  .Attr<bool>("bias")
                                  .Attr<bool>("residual")
                                  .Attr<bool>("relu"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(HrnetConvInputGradient, InputGradient,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<int64_t>("stride"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(HrnetConvKernelGradient, KernelGradient,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<int64_t>("stride"));

// The vector instructions that the library uses here, dnnl_cpu_isa_t, and its version.
extern "C" int HrnetOnednnInstructions() { return dnnl_get_effective_cpu_isa(); }
extern "C" const dnnl_version_t* HrnetOnednnVersion() { return dnnl_version(); }
