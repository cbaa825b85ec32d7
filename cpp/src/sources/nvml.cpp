// SPDX-License-Identifier: Apache-2.0
// Energy and power of each NVIDIA GPU, through the driver's management library.
#include <algorithm>
#include <vector>

#include "error.hpp"
#include "nvml_gpu.hpp"
#include "nvml_library.hpp"
#include "source.hpp"

namespace wattring {
namespace {

// A call takes a lock of the driver's that the measured program's own calls need as well, and tells
// nothing new faster than the counter moves.
// Polls at a divisor of the refresh would see each update from the same side.
constexpr std::int64_t least_poll_ns = 19'000'000;

class Nvml final : public Source {
 public:
  explicit Nvml(Opening& opening) : library_(opening.env.nvml) {
    const unsigned count = library_.device_count();
    if (count == 0) {
      throw library_.failure("nvmlDeviceGetCount", nvml::gpu_not_found);
    }
    std::vector<Error> refused;
    unsigned invisible = 0;
    for (unsigned index = 0; index < count; ++index) {
      const std::string name = "gpu-" + std::to_string(index);
      try {
        if (opening.is_taken(name)) {
          continue;
        }
        const nvml::Device device = library_.device(index);
        if (const auto remark = opening.note_if_visible(name, library_.uuid(device))) {
          gpus_.emplace_back(library_, device, name, *remark, channels_);
        } else {
          ++invisible;
        }
      } catch (const Error& error) {
        opening.skip(name, name_of(error.code()), error.what(), error.remedy());
        refused.push_back(error);
      }
    }
    if (!refused.empty() && refused.size() + invisible == count) {
      // What permission would open is worth more than what nothing does.
      const auto denied = std::find_if(refused.begin(), refused.end(), [](const Error& error) {
        return error.code() == Errc::denied;
      });
      const Error& said = denied != refused.end() ? *denied : refused.front();
      throw Error(said.code(), said.what(), said.remedy());
    }
  }

  std::span<const Channel> channels() const noexcept override { return channels_; }

  std::int64_t least_period_ns() const noexcept override { return least_poll_ns; }

  ReadStatus read(Sweep& sweep) noexcept override {
    for (nvml::Gpu& gpu : gpus_) {
      gpu.read(sweep);
    }
    return sweep.outcome();
  }

 private:
  nvml::Library library_;
  std::vector<Channel> channels_;
  std::vector<nvml::Gpu> gpus_;
};

}  // namespace

extern const SourceType nvml_source;
const SourceType nvml_source{.name = "nvml",
                             .summary = "energy and power of NVIDIA GPUs (the driver's NVML)",
                             .preference = 4,
                             .open = [](Opening& opening) -> std::unique_ptr<Source> {
                               return std::make_unique<Nvml>(opening);
                             }};

}  // namespace wattring
