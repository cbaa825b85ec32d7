// SPDX-License-Identifier: Apache-2.0
// The energy counter of each NVIDIA GPU (Volta and newer), through the driver's management library.
#include <algorithm>
#include <vector>

#include "error.hpp"
#include "nvml_library.hpp"
#include "source.hpp"

namespace wattring {
namespace {

// Published: 20 to 100 ms, depending on the model.
constexpr std::int64_t slowest_refresh_ns = 100'000'000;
// A call takes a lock of the driver's that the measured program's own calls need as well, and tells
// nothing new faster than the counter moves.
constexpr std::int64_t least_poll_ns = 20'000'000;

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
        const auto note = opening.note_if_visible(name, library_.uuid(device));
        if (note) {
          add(name, device);
          channels_.back().note += note->empty() ? "" : "; " + *note;
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
    for (std::size_t i = 0; i < gpus_.size(); ++i) {
      Gpu& gpu = gpus_[i];
      unsigned long long energy_mj = 0;
      const int code = gpu.lost ? nvml::gpu_lost : library_.energy_mj(gpu.device, energy_mj);
      if (code == nvml::success) {
        sweep.set(i, energy_mj);
        continue;
      }
      const int error_number = nvml::errno_of(code);
      gpu.lost = error_number == ENODEV;  // asking again would only fill the kernel's log
      sweep.fail(i, error_number);
    }
    return sweep.outcome();
  }

 private:
  struct Gpu {
    nvml::Device device;
    bool lost = false;
  };

  void add(const std::string& name, nvml::Device device) {
    unsigned long long energy_mj = 0;
    if (const int code = library_.energy_mj(device, energy_mj); code != nvml::success) {
      throw library_.failure("nvmlDeviceGetTotalEnergyConsumption", code);
    }
    Channel channel;
    channel.name = name;
    channel.device = library_.uuid(device) + ", " + library_.name(device) + ", PCI " +
                     library_.pci_address(device) + ", driver " + library_.driver_version();
    channel.note =
        "the GPU's own counter, of the whole GPU: a new value every 20 to 100 ms; how right it is "
        "differs from card to card";
    channel.scale = 1e-3;
    channel.refresh_ns = slowest_refresh_ns;
    channel.max_power_w = 2000;
    channels_.push_back(std::move(channel));
    gpus_.push_back({device});
  }

  nvml::Library library_;
  std::vector<Channel> channels_;
  std::vector<Gpu> gpus_;
};

}  // namespace

extern const SourceType nvml_source;
const SourceType nvml_source{.name = "nvml",
                             .summary = "energy counters of NVIDIA GPUs (the driver's NVML)",
                             .preference = 4,
                             .open = [](Opening& opening) -> std::unique_ptr<Source> {
                               return std::make_unique<Nvml>(opening);
                             }};

}  // namespace wattring
