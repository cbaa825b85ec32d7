// SPDX-License-Identifier: Apache-2.0
// GPUs through the NVIDIA driver's library: what opens, what is refused and why, what a failure in
// mid-run costs.
#include <cerrno>
#include <tuple>

#include "counter.hpp"
#include "obedient.hpp"
#include "session.hpp"
#include "support.hpp"

namespace wattring {
namespace {

const char* const energy = "nvmlDeviceGetTotalEnergyConsumption";
const char* const fields = "nvmlDeviceGetFieldValues";
const char* const counter_alone = "counter=100";

std::string failing(const std::string& function, int gpu, int code) {
  return function + "@" + std::to_string(gpu) + "=" + std::to_string(code);
}
// Whatever tells an energy or a power.
std::string failing(int gpu, int code) {
  return failing(fields, gpu, code) + "," + failing(energy, gpu, code) + "," +
         failing("nvmlDeviceGetPowerUsage", gpu, code);
}

class NvmlTest : public testing::Test {
 protected:
  NvmlTest() { machine_.nvml(fake_nvml::library()); }
  Opened open_gpus(const std::string& gpus, const std::string& failures = "",
                   const std::string& sensor = counter_alone) const {
    fake_nvml::configure(gpus, failures, sensor);
    return open(machine_, "nvml");
  }
  Error refusal(const std::string& gpus, const std::string& failures = "",
                const std::string& sensor = counter_alone) const {
    fake_nvml::configure(gpus, failures, sensor);
    return error_of([&] { open(machine_, "nvml"); });
  }
  FakeMachine machine_;
};

TEST_F(NvmlTest, EachGpuIsACounterOfMillijoules) {
  const auto opened = open_gpus("set,set");
  EXPECT_EQ(names(*opened.source), (Names{"gpu-0", "gpu-1"}));
  const Channel& gpu = channel(*opened.source, "gpu-1");
  EXPECT_EQ(gpu.device,
            "GPU-fa4e0000-0000-4000-8000-000000000001, NVIDIA Fake H100, PCI 00000000:18:00.0, "
            "driver 550.54.15");
  EXPECT_TRUE(contains(gpu.note, "20 to 100 ms"));
  EXPECT_EQ(gpu.kind, Kind::counter);
  EXPECT_EQ(gpu.scale, 1e-3);
  EXPECT_EQ(gpu.modulus, 0U);
  EXPECT_EQ(gpu.quantum, 1U);
  EXPECT_EQ(gpu.refresh_ns, 100 * ms);
  EXPECT_EQ(gpu.parent, "");
  fake_nvml::set(0, 111);
  fake_nvml::set(1, 9'000'000'000'000'222);
  Sweep sweep(2);
  EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
  EXPECT_EQ(sweep.raw()[0], 111U);
  EXPECT_EQ(sweep.raw()[1], 9'000'000'000'000'222U);
}

TEST_F(NvmlTest, StaysInitialisedAsLongAsItLives) {
  auto opened = open_gpus("const:100");
  EXPECT_EQ(fake_nvml::users(), 1);
  auto second = open_gpus("const:100");
  EXPECT_EQ(fake_nvml::users(), 2);
  opened.source.reset();
  EXPECT_EQ(fake_nvml::users(), 1);
  Sweep sweep(1);
  EXPECT_EQ(second.source->read(sweep), ReadStatus::ok);
  second.source.reset();
  EXPECT_EQ(fake_nvml::users(), 0);
  refusal("");
  EXPECT_EQ(fake_nvml::users(), 0) << "a refusal after the init";
}

TEST_F(NvmlTest, TheFunctionsOfOldDriversServe) {
  machine_.nvml(fake_nvml::library_of_old_names());
  const auto opened = open_gpus("const:100");
  EXPECT_EQ(names(*opened.source), (Names{"gpu-0"}));
  EXPECT_TRUE(contains(opened.source->channels()[0].device, "PCI 0000:17:00.0"));
}

TEST_F(NvmlTest, AGpuThatTellsNothingIsUnsupported) {
  const Error error = refusal("const:100", "", "usage=average");
  EXPECT_EQ(error.code(), Errc::unsupported);
  EXPECT_TRUE(contains(error.what(), energy)) << error.what();
}

TEST_F(NvmlTest, WithoutALibraryThereIsNoDriver) {
  machine_.nvml("libnvidia-ml-of-nobody.so.1");
  const Error error = refusal("const:100");
  EXPECT_EQ(error.code(), Errc::absent);
  EXPECT_TRUE(contains(error.what(), "no NVIDIA driver's library")) << error.what();
  EXPECT_TRUE(contains(error.what(), "libnvidia-ml-of-nobody.so.1")) << error.what();
  EXPECT_TRUE(contains(error.remedy(), "install"));
}

TEST_F(NvmlTest, ALibraryOfSomethingElseIsUnsupported) {
  machine_.nvml("libm.so.6");
  EXPECT_EQ(refusal("const:100").code(), Errc::unsupported);
}

TEST_F(NvmlTest, WhatTheInitSaysIsNamed) {
  using Case = std::tuple<int, Errc, const char*, const char*>;
  for (const auto& [code, errc, text, remedy] :
       {Case{9, Errc::absent, "Driver Not Loaded", "modprobe nvidia"},
        Case{18, Errc::io, "version mismatch", "reboot"},
        Case{4, Errc::denied, "Permissions", "/dev/nvidia"},
        Case{6, Errc::absent, "NVML error 6", "nvidia-smi"},
        Case{999, Errc::io, "NVML error 999", ""}}) {
    const Error error = refusal("const:100", "nvmlInit_v2=" + std::to_string(code));
    EXPECT_EQ(error.code(), errc) << error.what();
    EXPECT_TRUE(contains(error.what(), "nvmlInit: ")) << error.what();
    EXPECT_TRUE(contains(error.what(), text)) << error.what();
    EXPECT_TRUE(contains(error.remedy(), remedy)) << error.remedy();
  }
}

TEST_F(NvmlTest, ADriverWithoutAGpuIsAbsent) {
  const Error error = refusal("");
  EXPECT_EQ(error.code(), Errc::absent);
  EXPECT_NE(error.remedy(), "");
}

TEST_F(NvmlTest, AGpuThatCannotBeReadIsLeftOutWithTheReason) {
  using Case = std::tuple<std::string, const char*, const char*>;
  for (const auto& [failures, code, text] :
       {Case{failing(0, 3), "unsupported", "Not Supported"},
        Case{failing(0, 4), "denied", "Insufficient Permissions"},
        Case{"nvmlDeviceGetHandleByIndex_v2@0=4", "denied", "nvmlDeviceGetHandleByIndex"},
        Case{"*@0=15", "io", "lost"}}) {
    const auto opened = open_gpus("const:100,const:200", failures);
    EXPECT_EQ(names(*opened.source), (Names{"gpu-1"})) << "the index stays the driver's";
    ASSERT_EQ(opened.skipped.size(), 1U);
    EXPECT_EQ(opened.skipped[0].channel, "gpu-0");
    EXPECT_EQ(opened.skipped[0].code, code);
    EXPECT_TRUE(contains(opened.skipped[0].reason, text)) << opened.skipped[0].reason;
    EXPECT_EQ(opened.skipped[0].remedy.empty(), std::string(code) == "unsupported");
  }
}

TEST_F(NvmlTest, NoGpuThatCanBeReadIsAnErrorAndDeniedIsSaidFirst) {
  EXPECT_EQ(refusal("const:100,const:200", failing(0, 3) + "," + failing(1, 3)).code(),
            Errc::unsupported);
  const Error error = refusal("const:100,const:200", failing(0, 3) + "," + failing(1, 4));
  EXPECT_EQ(error.code(), Errc::denied);
  EXPECT_NE(error.remedy(), "");
}

TEST_F(NvmlTest, WhatIsOnlyDescribedMayFail) {
  const auto opened = open_gpus("const:100", "nvmlDeviceGetName=3,nvmlDeviceGetPciInfo_v3=3");
  EXPECT_EQ(names(*opened.source), (Names{"gpu-0"}));
}

TEST_F(NvmlTest, AFailedReadFailsItsGpuAloneAndComesBack) {
  const auto opened = open_gpus("set,set");
  using Case = std::tuple<int, int>;
  for (const auto& [code, error_number] :
       {Case{3, ENOTSUP}, Case{13, ENOTSUP}, Case{4, EPERM}, Case{10, EAGAIN}, Case{21, EAGAIN},
        Case{27, EAGAIN}, Case{999, EAGAIN}, Case{1, EIO}, Case{2, EIO}}) {
    fake_nvml::fail(failing(1, code));
    Sweep sweep(2);
    EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
    EXPECT_FALSE(sweep.failed(0));
    EXPECT_TRUE(sweep.failed(1));
    EXPECT_EQ(sweep.error_number(), error_number) << code;
    fake_nvml::fail("");
    sweep.clear();
    EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
    EXPECT_FALSE(sweep.failed(1));
  }
}

TEST_F(NvmlTest, ALostGpuIsAskedNoMoreAndTheOthersGoOn) {
  for (const int code : {15, 16, 18}) {
    const auto opened = open_gpus("set,set");
    fake_nvml::fail(failing(0, code));
    Sweep sweep(2);
    EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
    EXPECT_TRUE(sweep.failed(0));
    EXPECT_EQ(sweep.error_number(), ENODEV);
    const int calls = fake_nvml::calls(fields);
    fake_nvml::fail("");
    sweep.clear();
    EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
    EXPECT_TRUE(sweep.failed(0));
    EXPECT_FALSE(sweep.failed(1));
    EXPECT_EQ(fake_nvml::calls(fields), calls + 1);
  }
}

TEST_F(NvmlTest, AllLostIsGoneAndOneThatMayComeBackIsNot) {
  const auto opened = open_gpus("set,set");
  Sweep sweep(2);
  fake_nvml::fail(failing(1, 15) + "," + failing(0, 999));
  EXPECT_EQ(opened.source->read(sweep), ReadStatus::failed);
  sweep.clear();
  fake_nvml::fail("");
  EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
  sweep.clear();
  fake_nvml::fail("*=15");
  EXPECT_EQ(opened.source->read(sweep), ReadStatus::gone);
}

TEST_F(NvmlTest, ACounterThatFallsIsAReset) {
  const auto opened = open_gpus("set");
  Counter counter(opened.source->channels()[0]);
  Sweep sweep(1);
  std::uint64_t marks = 0;
  std::int64_t t_ns = 0;
  for (const unsigned long long mj : {500'000, 510'000, 4'000, 24'000}) {  // the driver is reloaded
    fake_nvml::set(0, mj);
    EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
    t_ns += 100 * ms;
    marks |= counter.advance(sweep.raw()[0], t_ns, t_ns + 100);
  }
  EXPECT_EQ(marks, row::reset);
  EXPECT_EQ(counter.value(), 30'000U);
}

TEST_F(NvmlTest, AutoTakesGpusOnAMachineWithoutRapl) {
  fake_nvml::configure("const:100");
  const Environment env = machine_.environment();
  const Selection selection = open_sources(env, {"auto"});
  ASSERT_EQ(selection.sources.size(), 1U);
  EXPECT_EQ(selection.sources[0].name, "nvml");
  EXPECT_EQ(selection.skipped.size(), 3U);
}

TEST_F(NvmlTest, ASlowDriverIsNoReasonToRefuseAQuickPeriod) {
  fake_nvml::configure("const:100");
  setenv("FAKE_NVML_DELAY_NS", "2000000", 1);
  const SamplerOptions every_ms{.period_ns = ms, .rows = 512};
  EXPECT_NO_THROW(Session(machine_.environment(), {"nvml"}, every_ms));
  unsetenv("FAKE_NVML_DELAY_NS");
}

// Nothing is published of the power of a Blackwell; the last rows are taken quickly.
TEST_F(NvmlTest, StoppingDoesNotHammerTheDriverOfASensorOfUnknownPace) {
  setenv("FAKE_NVML_ARCH", "10", 1);
  fake_nvml::configure("const:100", "", "hopper");
  Session session(machine_.environment(), {"nvml"}, {.period_ns = ms, .rows = 512});
  ASSERT_EQ(channel(session.samplers()[0]->source(), "gpu-0-integral").refresh_ns, 0);
  session.start();
  wait_samples(*session.samplers()[0], 5);
  const int calls = fake_nvml::calls(fields);
  session.stop();
  EXPECT_LE(fake_nvml::calls(fields) - calls, 16) << "in a quarter of a second, every 25 ms";
  unsetenv("FAKE_NVML_ARCH");
}

TEST_F(NvmlTest, ThousandHertzDoNotHammerTheDriver) {
  fake_nvml::configure("const:100");
  const SamplerOptions every_ms{.period_ns = ms, .rows = 512};
  Session session(machine_.environment(), {"nvml"}, every_ms);
  const Sampler& sampler = *session.samplers()[0];
  EXPECT_EQ(sampler.period_ns(), 19 * ms);
  session.start();
  wait_samples(sampler, 10);
  session.stop();
  for (const auto& rows = rows_of(sampler.ring()); const SampledRow& row : rows) {
    EXPECT_EQ(row.status & row::failed, 0U);
  }
  const SamplerOptions every_s{.period_ns = 1000 * ms, .rows = 512};
  EXPECT_EQ(Session(machine_.environment(), {"nvml"}, every_s).samplers()[0]->period_ns(),
            1000 * ms);
}

}  // namespace
}  // namespace wattring
