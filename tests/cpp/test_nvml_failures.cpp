// SPDX-License-Identifier: Apache-2.0
// What failures in mid-run do to a GPU's channels, and what a sampler makes of them.
#include <algorithm>
#include <cerrno>

#include "nvml_gpu_test.hpp"
#include "obedient.hpp"
#include "rows.hpp"
#include "sampler.hpp"

namespace wattring {
namespace {

using Code = std::pair<int, int>;  // and the errno
const std::vector<Code> passing{{10, EAGAIN}, {21, EAGAIN}, {27, EAGAIN}, {999, EAGAIN},
                                {1, EIO},     {2, EIO},     {6, EIO},     {20, EIO}};
const std::vector<Code> final{{3, ENOTSUP}, {13, ENOTSUP}, {4, EPERM}};
const std::vector<Code> lost{{15, ENODEV}, {16, ENODEV}, {18, ENODEV}};

std::vector<bool> failed(const Source& source, const Sweep& sweep) {
  std::vector<bool> all;
  for (std::size_t i = 0; i < source.channels().size(); ++i) {
    all.push_back(sweep.failed(i));
  }
  return all;
}

// Energy, power, integral, variance: the first by its own function, the others by another.
class NvmlGpuWithoutFields : public NvmlGpuTest {
 protected:
  // After one sweep with the failure and another without.
  std::pair<std::vector<bool>, std::vector<bool>> failures(const std::string& function, int code,
                                                           int error_number) {
    const auto source = open_gpus(volta, std::string(fields) + "=13");
    Sweep sweep(4);
    EXPECT_EQ(source->read(sweep), ReadStatus::ok);
    fake_nvml::fail(function + "=" + std::to_string(code));
    sweep.clear();
    source->read(sweep);
    EXPECT_EQ(sweep.error_number(), error_number) << code;
    const auto during = failed(*source, sweep);
    fake_nvml::fail("");
    calls_ = fake_nvml::calls(function);
    sweep.clear();
    source->read(sweep);
    calls_ = fake_nvml::calls(function) - calls_;
    return {during, failed(*source, sweep)};
  }
  const std::vector<bool> none_ = std::vector<bool>(4, false);
  const std::vector<bool> all_ = std::vector<bool>(4, true);
  const std::vector<bool> counter_{true, false, false, false};
  const std::vector<bool> powers_{false, true, true, true};
  int calls_ = 0;  // in a sweep after the failure
};

TEST_F(NvmlGpuWithoutFields, WhatMayPassIsAskedAgain) {
  for (const auto& [code, error_number] : passing) {
    EXPECT_EQ(failures(usage, code, error_number), std::pair(powers_, none_)) << code;
    EXPECT_EQ(calls_, 1);
    EXPECT_EQ(failures(energy, code, error_number), std::pair(counter_, none_)) << code;
    EXPECT_EQ(calls_, 1);
  }
}

TEST_F(NvmlGpuWithoutFields, WhatIsNotSupportedOrAllowedIsAskedNoMoreAndTheRestGoesOn) {
  for (const auto& [code, error_number] : final) {
    EXPECT_EQ(failures(usage, code, error_number), std::pair(powers_, powers_)) << code;
    EXPECT_EQ(calls_, 0);
    EXPECT_EQ(failures(energy, code, error_number), std::pair(counter_, counter_)) << code;
    EXPECT_EQ(calls_, 0);
  }
}

TEST_F(NvmlGpuWithoutFields, ALostGpuIsAskedNothingMore) {
  for (const auto& [code, error_number] : lost) {
    EXPECT_EQ(failures(energy, code, error_number), std::pair(all_, all_)) << code;
    EXPECT_EQ(calls_, 0);
    EXPECT_EQ(failures(usage, code, error_number).second, all_) << code;
    EXPECT_EQ(calls_, 0);
  }
}

TEST_F(NvmlGpuTest, OneFieldsFailureIsItsOwn) {
  const std::vector<bool> powers{false, true, true, true, false};
  const std::vector<bool> none(5, false);
  for (const auto& codes : {passing, final}) {
    for (const auto& [code, error_number] : codes) {
      const auto source = open_gpus(hopper);
      Sweep sweep(5);
      fake_nvml::fail("nvmlDeviceGetFieldValues:186=" + std::to_string(code));
      EXPECT_EQ(source->read(sweep), ReadStatus::ok);
      EXPECT_EQ(failed(*source, sweep), powers) << code;
      EXPECT_EQ(sweep.error_number(), error_number) << code;
      fake_nvml::fail("");
      sweep.clear();
      EXPECT_EQ(source->read(sweep), ReadStatus::ok);
      EXPECT_EQ(failed(*source, sweep), none) << code << ": it costs no call to ask again";
    }
  }
}

TEST_F(NvmlGpuTest, AFieldThatSaysTheGpuIsLostLosesItAll) {
  for (const auto& [code, error_number] : lost) {
    const auto source = open_gpus(hopper);
    Sweep sweep(5);
    fake_nvml::fail("nvmlDeviceGetFieldValues:83=" + std::to_string(code));
    EXPECT_EQ(source->read(sweep), ReadStatus::gone);
    EXPECT_EQ(sweep.error_number(), error_number);
    fake_nvml::fail("");
    const int calls = fake_nvml::calls(fields);
    sweep.clear();
    EXPECT_EQ(source->read(sweep), ReadStatus::gone);
    EXPECT_EQ(fake_nvml::calls(fields), calls);
  }
}

TEST_F(NvmlGpuTest, AFailureOfTheWholeCallFailsItsGpu) {
  Gpus gpus = hopper;
  gpus.powers = "const:300,const:200";
  for (const auto& codes : {passing, final}) {
    for (const auto& [code, error_number] : codes) {
      const auto source = open_gpus(gpus);
      Sweep sweep(10);
      fake_nvml::fail(std::string(fields) + "@1=" + std::to_string(code));
      EXPECT_EQ(source->read(sweep), ReadStatus::ok);
      std::vector<bool> second(10, false);
      std::fill(second.begin() + 5, second.end(), true);
      EXPECT_EQ(failed(*source, sweep), second) << code;
      EXPECT_EQ(sweep.error_number(), error_number) << code;
      fake_nvml::fail("");
      sweep.clear();
      EXPECT_EQ(source->read(sweep), ReadStatus::ok);
      EXPECT_EQ(failed(*source, sweep), std::vector<bool>(10, false)) << code;
    }
  }
}

// What the sampler makes of failures in mid-run: of a constant power the truth is known, and no
// energy may be above it. The sensors are quick, so that the test is.
class NvmlGpuSampled : public NvmlGpuTest {
 protected:
  static constexpr double watts = 300;
  std::vector<std::uint64_t> sample(const Gpus& gpus, const std::string& failures) {
    setenv("FAKE_NVML_REFRESH_NS", "5000000", 1);
    auto source = open_gpus(gpus);
    channels_ = {source->channels().begin(), source->channels().end()};
    Sampler sampler("nvml", std::move(source), {.period_ns = 4 * ms, .rows = 4096, .budget = 1});
    sampler.start();
    wait_samples(sampler, 60);
    fake_nvml::fail(failures);
    wait_samples(sampler, 20);
    fake_nvml::fail("");
    wait_samples(sampler, 60);
    gone_ = !sampler.running();
    sampler.stop();
    words_.resize(sampler.ring().rows() * sampler.ring().words_per_row());
    std::uint64_t cursor = 0;
    const Ring::Copied copied = sampler.ring().read(cursor, words_);
    words_.resize(copied.rows * sampler.ring().words_per_row());
    return words_;
  }
  // Returns how many readings of energies had failed.
  std::uint64_t check(const std::vector<std::uint64_t>& words) const {
    const Rows rows(words, row::first_reading + channels_.size());
    std::uint64_t failures = 0;
    for (std::size_t c = 0; c < channels_.size(); ++c) {
      if (!channels_[c].has_energy()) {
        continue;
      }
      for (std::size_t i = 1; i < rows.size(); ++i) {
        const std::uint64_t value = rows.reading(i, c);
        EXPECT_GE(value, rows.reading(i - 1, c)) << channels_[c].name;
        EXPECT_EQ(rows.marks(i, c) & (row::reset | row::ambiguous), 0U) << channels_[c].name;
        if ((rows.marks(i, c) & row::failed) != 0) {
          EXPECT_EQ(value, rows.reading(i - 1, c)) << channels_[c].name;
          ++failures;
        }
        // The first reading may be that of an update a refresh old.
        const double most_s = static_cast<double>(rows.t_end(i) - rows.t_begin(0)) * 1e-9 + 0.006;
        EXPECT_LE(static_cast<double>(value) * channels_[c].scale, watts * most_s)
            << channels_[c].name << ' ' << i;
      }
      if (!gone_) {
        const std::size_t last = rows.size() - 1;
        const double least_s = static_cast<double>(rows.t_begin(last) - rows.t_end(0)) * 1e-9;
        EXPECT_GT(static_cast<double>(rows.reading(last, c)) * channels_[c].scale,
                  watts * (least_s - 0.3))
            << channels_[c].name;
      }
    }
    return failures;
  }
  std::vector<Channel> channels_;
  std::vector<std::uint64_t> words_;
  bool gone_ = false;
};

TEST_F(NvmlGpuSampled, AFailureThatPassesInventsNoEnergyAndLosesNone) {
  for (const int code : {4, 999}) {
    EXPECT_GE(check(sample(hopper, std::string(fields) + "=" + std::to_string(code))), 20U) << code;
    EXPECT_FALSE(gone_);
  }
}

TEST_F(NvmlGpuSampled, AnIntegralGoesOnAfterFailuresOfItsPower) {
  EXPECT_GE(check(sample(pascal, "nvmlDeviceGetFieldValues:186=21")), 20U);
  EXPECT_EQ(channels_[1].kind, Kind::integral);
}

TEST_F(NvmlGpuSampled, ACounterThatIsNotSupportedAnyMoreStaysAsItWas) {
  EXPECT_GE(check(sample(hopper, "nvmlDeviceGetFieldValues:83=3")), 20U);
}

TEST_F(NvmlGpuSampled, ALostGpuEndsTheRowsWithoutAJump) {
  EXPECT_GE(check(sample(hopper, "*=15")), 1U);
  EXPECT_TRUE(gone_);
}

}  // namespace
}  // namespace wattring
