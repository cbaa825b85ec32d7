// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/perf_event.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

// What perf_event_open(2) and read(2) give on a fake machine: groups of events on the power PMU,
// each counting from its opening. Safe to use while a sampler reads.
namespace wattring::fake_perf {

inline constexpr std::uint32_t type = 23;  // what the fake PMU's file `type` says

void reset();
// Where the counter of an event on a CPU stands.
void set(int cpu, std::uint64_t config, std::uint64_t value);
// From now on this CPU shows the counters of that one, as mirrored dies do.
void mirror(int cpu, int that);
// Every counter of this CPU moves by so much at each read of any group.
void drift(int cpu, std::uint64_t step);
void refuse(std::uint64_t config, int error_number);  // 0: allow again
inline constexpr int end_of_file = -1;
void fail_reads(int error_number);  // 0: work again
void slow_reads(std::int64_t duration_ns);
int opened();

int open(perf_event_attr* attr, pid_t pid, int cpu, int group_fd, unsigned long flags);
ssize_t read(int fd, void* to, std::size_t bytes);

}  // namespace wattring::fake_perf
