// SPDX-License-Identifier: Apache-2.0
// A permission that lacks is never shown as a device that lacks.
#include <sys/fsuid.h>
#include <unistd.h>

#include <filesystem>

#include "full_machine.hpp"
#include "support.hpp"

namespace wattring {
namespace {

namespace fs = std::filesystem;

TEST(Denied, ErrnoDecides) {
  for (const int error_number : {EACCES, EPERM}) {
    EXPECT_EQ(errc_of_errno(error_number), Errc::denied);
  }
  for (const int error_number : {ENOENT, ENODEV, ENXIO, ENOTDIR}) {
    EXPECT_EQ(errc_of_errno(error_number), Errc::absent);
  }
  for (const int error_number : {EIO, EMFILE, EINVAL}) {
    EXPECT_EQ(errc_of_errno(error_number), Errc::io);
  }
}

TEST(Denied, APathThatCannotBeIsAbsent) {
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.write("dev/cpu", "not a directory");
  const Error error = error_of([&] { open(machine, "rapl_msr"); });
  EXPECT_EQ(error.code(), Errc::absent);
  EXPECT_TRUE(contains(error.remedy(), "modprobe msr"));
}

// For this thread, files' modes count, also when the tests run as root.
class OrdinaryUser {
 public:
  OrdinaryUser() { setfsuid(nobody()); }
  ~OrdinaryUser() { setfsuid(geteuid()); }
  OrdinaryUser(const OrdinaryUser&) = delete;
  OrdinaryUser& operator=(const OrdinaryUser&) = delete;
  static bool possible() {
    const OrdinaryUser user;
    // The way to ask: an impossible number changes nothing and returns what is set.
    return static_cast<uid_t>(setfsuid(static_cast<uid_t>(-1))) == nobody();
  }

 private:
  static uid_t nobody() { return geteuid() == 0 ? 65534 : geteuid(); }
};

class DeniedFile : public testing::Test {
 protected:
  void SetUp() override {
    if (!OrdinaryUser::possible()) {
      GTEST_SKIP() << "this user cannot give up its rights";
    }
  }
  void close_to_all(const std::string& name) const {
    fs::permissions(machine_.path(name), fs::perms::none);
  }
  Error refusal(const char* source) const {
    const OrdinaryUser user;
    return error_of([&] { open(machine_, source); });
  }
  FullMachine machine_;
};

TEST_F(DeniedFile, MsrDevice) {
  close_to_all("dev/cpu/0/msr");
  const Error error = refusal("rapl_msr");
  EXPECT_EQ(error.code(), Errc::denied);
  EXPECT_TRUE(contains(error.what(), "dev/cpu/0/msr: Permission denied")) << error.what();
  EXPECT_TRUE(contains(error.remedy(), "perf events or powercap"));
}

TEST_F(DeniedFile, PowercapEnergy) {
  close_to_all("sys/class/powercap/intel-rapl:0/energy_uj");
  const Error error = refusal("rapl_powercap");
  EXPECT_EQ(error.code(), Errc::denied);
  EXPECT_TRUE(contains(error.what(), "energy_uj: Permission denied")) << error.what();
  EXPECT_TRUE(contains(error.remedy(), "chmod"));
}

TEST_F(DeniedFile, PowercapZonesThatAContainerHides) {
  // A security profile that denies the whole class lets it be listed.
  for (const char* zone :
       {"intel-rapl:0", "intel-rapl:0:0", "intel-rapl:0:1", "intel-rapl:0:2", "intel-rapl:1"}) {
    close_to_all(std::string("sys/class/powercap/") + zone + "/name");
  }
  EXPECT_EQ(refusal("rapl_powercap").code(), Errc::denied);
}

TEST_F(DeniedFile, PerfPmu) {
  close_to_all("sys/bus/event_source/devices/power/type");
  EXPECT_EQ(refusal("rapl_perf").code(), Errc::denied);
}

TEST_F(DeniedFile, AutoSaysSoOfEachAndIsDenied) {
  close_to_all("dev/cpu/0/msr");
  close_to_all("sys/class/powercap/intel-rapl:0/energy_uj");
  fake_perf::refuse(2, EACCES);
  fake_nvml::configure("const:100", "nvmlInit_v2=4");
  const Error error = refusal("auto");
  EXPECT_EQ(error.code(), Errc::denied);
  for (const char* source : {"rapl_perf: ", "rapl_msr: ", "rapl_powercap: ", "nvml: "}) {
    EXPECT_TRUE(contains(error.what(), source)) << error.what();
  }
}

}  // namespace
}  // namespace wattring
