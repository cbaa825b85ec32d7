// SPDX-License-Identifier: Apache-2.0
// RAPL energy registers through /dev/cpu/N/msr.
#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "error.hpp"
#include "rapl.hpp"
#include "source.hpp"

namespace wattring {
namespace {

using rapl::Domain;

struct Register {
  Domain domain;
  off_t address;
};

// Intel SDM volume 4; Linux msr-index.h.
constexpr off_t intel_unit = 0x606;
constexpr std::array intel_registers{Register{Domain::package, 0x611},
                                     Register{Domain::core, 0x639}, Register{Domain::uncore, 0x641},
                                     Register{Domain::dram, 0x619}, Register{Domain::psys, 0x64D}};
constexpr off_t amd_unit = 0xC0010299;
constexpr off_t amd_package = 0xC001029B;
constexpr off_t amd_core = 0xC001029A;  // of one physical core; both its threads read the same

const char* const denied_remedy =
    "`wattring doctor` says how to open perf events or powercap instead: the msr device needs "
    "CAP_SYS_RAWIO, which is as good as root";

class Device {
 public:
  Device(const Environment& env, int cpu)
      : path_(env.dev + "/cpu/" + std::to_string(cpu) + "/msr"), file_(File::open_readonly(path_)) {
    if (file_) {
      return;
    }
    const int error_number = errno;
    const Errc code = errc_of_errno(error_number);
    throw Error(code, path_ + ": " + errno_text(error_number),
                code == Errc::denied ? denied_remedy : "sudo modprobe msr");
  }

  bool read(off_t address, std::uint64_t& value) const noexcept {
    const ssize_t n = pread(file_.fd(), &value, sizeof value, address);
    if (n == static_cast<ssize_t>(sizeof value)) {
      return true;
    }
    // A short read has no errno of its own.
    errno = n < 0 ? errno : EIO;
    if (access(path_.c_str(), F_OK) != 0) {
      errno = ENODEV;
    }
    return false;
  }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  File file_;
};

// Counters are 32 bits wide; the upper half is reserved.
std::uint64_t energy_bits(std::uint64_t value) { return value & 0xFFFF'FFFF; }

class RaplMsr final : public Source {
 public:
  explicit RaplMsr(Opening& opening) : machine_(Machine::read(opening.env)) {
    if (!machine_.intel() && !machine_.amd()) {
      throw Error(Errc::unsupported,
                  "no RAPL registers known for CPU vendor '" + machine_.vendor + "'");
    }
    for (const rapl::Lead& lead : rapl::leads(machine_)) {
      add_place(opening, lead);
    }
    if (machine_.amd()) {
      add_amd_cores(opening);
    }
    if (channels_.empty() && !found_) {
      throw Error(Errc::absent,
                  "no energy register answers (virtual machine, or RAPL switched off)");
    }
  }

  std::span<const Channel> channels() const noexcept override { return channels_; }

  ReadStatus read(Sweep& sweep) noexcept override {
    for (std::size_t i = 0; i < reads_.size(); ++i) {
      std::uint64_t value = 0;
      if (devices_[reads_[i].device].read(reads_[i].address, value)) {
        sweep.set(i, energy_bits(value));
      } else {
        sweep.fail(i, errno);
      }
    }
    return sweep.outcome();
  }

 private:
  struct Read {
    std::size_t device;
    off_t address;
  };

  double unit(const Device& device) const {
    std::uint64_t value = 0;
    // Parts whose RAPL moved to TPMI answer 0 here.
    if (!device.read(machine_.amd() ? amd_unit : intel_unit, value) || value == 0) {
      throw Error(Errc::absent, device.path() +
                                    " has no RAPL unit register (virtual machine, or energy "
                                    "counters only through TPMI)");
    }
    return rapl::unit_of_register(machine_, value);
  }

  void add_place(Opening& opening, const rapl::Lead& lead) {
    Device device(opening.env, lead.cpu);
    const double unit_j = unit(device);
    if (lead.place.die >= 0 && mirrors_an_earlier_die(device, lead.place)) {
      opening.skip(rapl::make_channel(Domain::package, lead.place, machine_, "").name, "redundant",
                   "this die shows the counters of another die of its package");
      rapl::take_die(opening, lead.place);
      return;
    }
    devices_.push_back(std::move(device));
    places_.push_back(lead.place);
    if (machine_.amd()) {
      add(opening, Domain::package, lead.place, amd_package, unit_j);
      return;
    }
    for (const Register& r : intel_registers) {
      double domain_unit_j = unit_j;
      if (r.domain == Domain::dram && rapl::dram_unit_is_fixed(machine_)) {
        domain_unit_j = 1.0 / 65536;
      } else if (r.domain == Domain::psys && rapl::psys_counts_joules(machine_)) {
        domain_unit_j = 1;
      }
      add(opening, r.domain, lead.place, r.address, domain_unit_j);
    }
  }

  // Registers that fault or stand at 0 are absent, by the kernel's own rule.
  bool answers(const Device& device, off_t address) const {
    std::uint64_t value = 0;
    return device.read(address, value) && energy_bits(value) != 0;
  }

  void add(Opening& opening, Domain domain, rapl::Place place, off_t address, double unit_j) {
    const Device& device = devices_.back();
    if (!answers(device, address)) {
      return;
    }
    found_ = true;
    std::array<char, 16> hex;
    std::snprintf(hex.data(), hex.size(), "0x%llx", static_cast<unsigned long long>(address));
    Channel channel =
        rapl::make_channel(domain, place, machine_, device.path() + " register " + hex.data());
    channel.scale = unit_j;
    channel.modulus = rapl::register_range;
    keep(opening, std::move(channel), address);
  }

  void keep(Opening& opening, Channel channel, off_t address) {
    if (!opening.is_taken(channel.name)) {
      channels_.push_back(std::move(channel));
      reads_.push_back({devices_.size() - 1, address});
    }
  }

  bool mirrors_an_earlier_die(const Device& device, rapl::Place place) const {
    const auto reader = [](const Device& d) {
      return [&d] {
        std::uint64_t value = 0;
        return d.read(0x611, value) ? energy_bits(value) : 0;
      };
    };
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      if (places_[i].package == place.package &&
          rapl::mirrors(reader(devices_[i]), reader(device))) {
        return true;
      }
    }
    return false;
  }

  void add_amd_cores(Opening& opening) {
    if (opening.automatic) {
      opening.skip("", "costly",
                   "one register per physical core, each an interrupt of that core per sample",
                   "ask for it: sources=\"rapl_msr\"");
      return;
    }
    std::vector<std::pair<int, int>> seen;
    for (const Cpu& cpu : machine_.cpus) {
      const std::pair core{cpu.package, cpu.core};
      if (std::find(seen.begin(), seen.end(), core) != seen.end()) {
        continue;
      }
      seen.push_back(core);
      Device device(opening.env, cpu.id);
      if (!answers(device, amd_core)) {
        continue;
      }
      Channel channel = rapl::make_channel(Domain::core, {cpu.package}, machine_,
                                           device.path() + " register 0xc001029a");
      channel.name = "package-" + std::to_string(cpu.package) + "-core-" + std::to_string(cpu.core);
      channel.scale = unit(device);
      channel.modulus = rapl::register_range;
      devices_.push_back(std::move(device));
      places_.push_back({cpu.package});
      found_ = true;
      keep(opening, std::move(channel), amd_core);
    }
  }

  Machine machine_;
  std::vector<Channel> channels_;
  std::vector<Read> reads_;
  std::vector<Device> devices_;
  std::vector<rapl::Place> places_;  // of each device
  bool found_ = false;
};

}  // namespace

extern const SourceType rapl_msr_source;
const SourceType rapl_msr_source{
    .name = "rapl_msr",
    .summary = "RAPL energy registers through /dev/cpu/N/msr (Intel, AMD, Hygon)",
    .preference = 2,
    .open = [](Opening& opening) -> std::unique_ptr<Source> {
      return std::make_unique<RaplMsr>(opening);
    }};

}  // namespace wattring
