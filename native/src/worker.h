// One thread that does all work, in the order in which it is asked to, with its OpenMP team: so that
// a process has one such team however many threads XLA calls from.

#ifndef HRNET_JAX_WORKER_H_
#define HRNET_JAX_WORKER_H_

#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include <unistd.h>

#include "xla/ffi/api/ffi.h"

namespace hrnet_jax {

namespace ffi = xla::ffi;

// Memory that stays from call to call, up to kKept bytes; what is larger is given back after use.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  ~Buffer() { Free(); }

  void* Get(size_t size) {
    if (size > capacity_) {
      Free();
      const size_t rounded = (size + kPage - 1) / kPage * kPage;
      data_ = std::aligned_alloc(kPage, rounded);
      if (data_ == nullptr) throw std::bad_alloc();
      capacity_ = rounded;
    }
    return data_;
  }

  void Trim() {
    if (capacity_ > kKept) Free();
  }

 private:
  static constexpr size_t kPage = 4096, kKept = size_t{256} << 20;

  void Free() {
    std::free(data_);
    data_ = nullptr;
    capacity_ = 0;
  }

  void* data_ = nullptr;
  size_t capacity_ = 0;
};

struct Scratch {
  Buffer library, weights, source, target;
};

// The thread that runs everything, in the order in which it is asked to.
class Worker {
 public:
  static Worker& Get() {
    static std::mutex mutex;
    static Worker* worker = nullptr;
    static pid_t process = 0;
    std::lock_guard<std::mutex> lock(mutex);
    if (worker == nullptr || process != getpid()) {  // threads do not survive a fork
      worker = new Worker();
      process = getpid();
    }
    return *worker;
  }

  // `name`: of the work, for errors.
  ffi::Error Run(const char* name, const std::function<void(Scratch&)>& work) {
    Job job{&work};
    std::unique_lock<std::mutex> lock(mutex_);
    jobs_.push_back(&job);
    wake_.notify_one();
    job.done.wait(lock, [&] { return job.finished; });
    if (job.error.empty()) return ffi::Error::Success();
    return ffi::Error(ffi::ErrorCode::kInternal, name + (": " + job.error));
  }

 private:
  struct Job {
    const std::function<void(Scratch&)>* work;
    std::string error;
    bool finished = false;
    std::condition_variable done;
  };

  Worker() { std::thread([this] { Loop(); }).detach(); }

  void Loop() {
    Scratch scratch;
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      wake_.wait(lock, [&] { return !jobs_.empty(); });
      Job* job = jobs_.front();
      jobs_.pop_front();
      lock.unlock();
      try {
        (*job->work)(scratch);
      } catch (const std::exception& error) {
        job->error = error.what();
      }
      for (Buffer* x : {&scratch.library, &scratch.weights, &scratch.source, &scratch.target}) x->Trim();
      lock.lock();
      job->finished = true;
      job->done.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job*> jobs_;
};

}  // namespace hrnet_jax

#endif  // HRNET_JAX_WORKER_H_
