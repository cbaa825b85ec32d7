// SPDX-License-Identifier: Apache-2.0
// RAPL energy through the powercap class, /sys/class/powercap/intel-rapl*.
#include <unistd.h>

#include <array>
#include <charconv>
#include <limits>

#include "error.hpp"
#include "rapl.hpp"
#include "source.hpp"

namespace wattring {
namespace {

using rapl::Domain;

const char* const denied_remedy =
    "now: sudo chmod a+r /sys/class/powercap/*/energy_uj; at every boot: see `wattring doctor`";

// What max_energy_range_uj says about a zone. The kernel computes both files from a 32-bit register
// and a unit in whole nanojoules: range = (2^32 - 1) × unit / 1000. Given the unit, the register
// can be had back from energy_uj exactly, and with it the wrap, which in microjoules is no whole
// number.
struct Unit {
  std::uint64_t nanojoules = 1000;
  std::uint64_t modulus = 0;
  double scale = 1e-6;
};

Unit unit_of_range(std::uint64_t range_uj) {
  constexpr std::uint64_t counts = rapl::register_range - 1;
  if (range_uj < std::numeric_limits<std::uint64_t>::max() / 1000) {
    const std::uint64_t nanojoules = (range_uj * 1000 + counts - 1) / counts;
    if (nanojoules >= 1000 && nanojoules * counts / 1000 == range_uj) {
      return {nanojoules, rapl::register_range, rapl::unit_of_nanojoules(nanojoules)};
    }
  }
  // Some other driver's range: count microjoules.
  return {1000, range_uj + 1, 1e-6};
}

class EnergyFile {
 public:
  EnergyFile(std::string path, std::uint64_t unit_nj)
      : path_(std::move(path)), file_(File::open_readonly(path_)), unit_nj_(unit_nj) {
    if (!file_) {
      const int error_number = errno;
      const Errc code = errc_of_errno(error_number);
      throw Error(code, path_ + ": " + errno_text(error_number),
                  code == Errc::denied ? denied_remedy : "");
    }
    if (std::uint64_t value = 0; !read(value)) {
      throw Error(Errc::unsupported, path_ + " holds no energy: " + errno_text(errno));
    }
  }

  // Counts of the register behind the file; false with errno.
  bool read(std::uint64_t& counts) const noexcept {
    std::array<char, 32> text;
    const ssize_t n = pread(file_.fd(), text.data(), text.size(), 0);
    std::uint64_t uj = 0;
    if (n > 0) {
      const auto [end, error] = std::from_chars(text.data(), text.data() + n, uj);
      if (error == std::errc() && (end == text.data() + n || *end == '\n')) {
        counts = (uj * 1000 + unit_nj_ - 1) / unit_nj_;
        return true;
      }
    }
    errno = n < 0 ? errno : EBADMSG;
    if (access(path_.c_str(), F_OK) != 0) {
      errno = ENODEV;
    }
    return false;
  }

 private:
  std::string path_;
  File file_;
  std::uint64_t unit_nj_;
};

struct Zone {
  std::string directory;  // name in the class directory, "intel-rapl:0:1"
  Domain domain;
  rapl::Place place;
  bool mmio;
};

class RaplPowercap final : public Source {
 public:
  explicit RaplPowercap(Opening& opening) : machine_(Machine::read(opening.env)) {
    const std::string root = opening.env.sys + "/class/powercap";
    const std::vector<Zone> zones = find_zones(root);
    if (zones.empty()) {
      require_permission(root);
      for (const std::string& directory : list_directory(root)) {
        require_permission(root + "/" + directory + "/name");
      }
      throw Error(Errc::absent, "no intel-rapl zone in " + root,
                  "sudo modprobe intel_rapl_msr (a virtual machine has none)");
    }
    for (const Zone& zone : zones) {
      add(opening, root, zone);
    }
    if (channels_.empty() && !found_) {
      throw Error(Errc::unsupported,
                  "no zone in " + root + " can be used: " + opening.skipped.front().reason);
    }
  }

  std::span<const Channel> channels() const noexcept override { return channels_; }

  ReadStatus read(Sweep& sweep) noexcept override {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      std::uint64_t counts = 0;
      if (files_[i].read(counts)) {
        sweep.set(i, counts);
      } else {
        sweep.fail(i, errno);
      }
    }
    return sweep.outcome();
  }

 private:
  static std::vector<Zone> find_zones(const std::string& root) {
    std::vector<Zone> zones;
    for (const std::string& directory : list_directory(root)) {
      const std::string type = directory.substr(0, directory.find(':'));
      // Without a colon it is the control type itself.
      if (type == directory || (type != "intel-rapl" && type != "intel-rapl-mmio")) {
        continue;
      }
      if (const auto zone = rapl::zone_at(root, directory)) {
        zones.push_back({directory, zone->domain, zone->place, type != "intel-rapl"});
      }
    }
    // The registers before their MMIO twins, so that the twin is the one left out.
    std::stable_sort(zones.begin(), zones.end(),
                     [](const Zone& a, const Zone& b) { return a.mmio < b.mmio; });
    return zones;
  }

  void add(Opening& opening, const std::string& root, const Zone& zone) {
    const std::string path = root + "/" + zone.directory;
    Channel channel = rapl::make_channel(zone.domain, zone.place, machine_, path);
    if (has(channel.name)) {
      opening.skip(channel.name, "redundant",
                   path + " shows the same counter as an earlier zone of that name");
      return;
    }
    if (machine_.amd() && zone.domain == Domain::core) {
      opening.skip(channel.name, "unsupported",
                   path + " counts one core, not the package's cores, on AMD",
                   "sources=\"rapl_msr\" reads every core");
      return;
    }
    Unit unit;
    try {
      unit = unit_of_range(read_number(path + "/max_energy_range_uj"));
    } catch (const Error& error) {
      opening.skip(channel.name, name_of(error.code()),
                   std::string(error.what()) + ": without its range a wrap cannot be undone");
      return;
    }
    channel.scale = unit.scale;
    channel.modulus = unit.modulus;
    if (zone.domain == Domain::dram && rapl::dram_unit_is_fixed(machine_) &&
        unit.nanojoules == 15300) {
      channel.note = "the kernel counts 15.3 µJ where the hardware counts 2^-16 J: 0.27 % too high";
    }
    keep(opening, std::move(channel), path + "/energy_uj", unit, zone);
  }

  void keep(Opening& opening, Channel channel, const std::string& path, const Unit& unit,
            const Zone& zone) {
    if (std::find(mirrors_.begin(), mirrors_.end(), zone.place) != mirrors_.end()) {
      opening.skip(channel.name, "redundant", path + " belongs to a die that mirrors another");
      return;
    }
    if (opening.is_taken(channel.name)) {
      found_ = true;
      return;
    }
    try {
      EnergyFile file(path, unit.nanojoules);
      if (zone.domain == Domain::package && mirrors_an_earlier_die(file, zone.place)) {
        opening.skip(channel.name, "redundant",
                     path + " shows the counter of another die of its package");
        mirrors_.push_back(zone.place);
        rapl::take_die(opening, zone.place);
        return;
      }
      files_.push_back(std::move(file));
      places_.push_back(zone.place);
      channels_.push_back(std::move(channel));
      found_ = true;
    } catch (const Error& error) {
      if (error.code() == Errc::denied) {
        throw;  // the same for every zone
      }
      opening.skip(channel.name, name_of(error.code()), error.what(), error.remedy());
    }
  }

  bool has(const std::string& name) const {
    return std::any_of(channels_.begin(), channels_.end(),
                       [&name](const Channel& c) { return c.name == name; });
  }

  bool mirrors_an_earlier_die(const EnergyFile& file, rapl::Place place) const {
    const auto reader = [](const EnergyFile& f) {
      return [&f] {
        std::uint64_t counts = 0;
        return f.read(counts) ? counts : 0;
      };
    };
    for (std::size_t i = 0; i < files_.size(); ++i) {
      if (place.die >= 0 && places_[i].package == place.package && places_[i].die != place.die &&
          rapl::mirrors(reader(files_[i]), reader(file))) {
        return true;
      }
    }
    return false;
  }

  Machine machine_;
  std::vector<Channel> channels_;
  std::vector<EnergyFile> files_;
  std::vector<rapl::Place> places_;   // of each file
  std::vector<rapl::Place> mirrors_;  // dies that were left out
  bool found_ = false;
};

}  // namespace

extern const SourceType rapl_powercap_source;
const SourceType rapl_powercap_source{
    .name = "rapl_powercap",
    .summary = "RAPL energy through the powercap class (/sys/class/powercap)",
    .preference = 3,
    .open = [](Opening& opening) -> std::unique_ptr<Source> {
      return std::make_unique<RaplPowercap>(opening);
    }};

}  // namespace wattring
