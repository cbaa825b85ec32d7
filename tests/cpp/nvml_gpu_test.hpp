// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "support.hpp"

// GPUs of several architectures behind the fake library.
namespace wattring {

inline const char* const energy = "nvmlDeviceGetTotalEnergyConsumption";
inline const char* const fields = "nvmlDeviceGetFieldValues";
inline const char* const usage = "nvmlDeviceGetPowerUsage";

struct Gpus {
  std::string powers = "const:300";
  std::string sensor = "hopper";
  std::string architecture = "9";
  std::string name = "NVIDIA H100 80GB HBM3";
  std::string scopes = {};
};
inline const Gpus hopper;
inline const Gpus ga100{.sensor = "ga100", .architecture = "7", .name = "NVIDIA A100-SXM4-40GB"};
inline const Gpus ampere{.sensor = "ampere", .architecture = "7", .name = "NVIDIA RTX A6000"};
inline const Gpus volta{.sensor = "volta", .architecture = "5", .name = "Tesla V100-SXM2-32GB"};
inline const Gpus pascal{.sensor = "pascal", .architecture = "4", .name = "Tesla P100-PCIE-16GB"};

class NvmlGpuTest : public testing::Test {
 protected:
  NvmlGpuTest() { machine_.nvml(fake_nvml::library()); }
  ~NvmlGpuTest() override {
    for (const char* name : {"ARCH", "NAME", "SCOPES", "REFRESH_NS"}) {
      unsetenv(("FAKE_NVML_" + std::string(name)).c_str());
    }
    fake_nvml::fail("");
  }
  std::unique_ptr<Source> open_gpus(const Gpus& gpus, const std::string& failures = "") {
    setenv("FAKE_NVML_ARCH", gpus.architecture.c_str(), 1);
    setenv("FAKE_NVML_NAME", gpus.name.c_str(), 1);
    setenv("FAKE_NVML_SCOPES", gpus.scopes.c_str(), 1);
    fake_nvml::configure(gpus.powers, failures, gpus.sensor);
    return open(machine_, "nvml").source;
  }
  FakeMachine machine_;
};

}  // namespace wattring
