// SPDX-License-Identifier: Apache-2.0
// fork leaves the child with a session that says what it is and lets itself be thrown away.
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "obedient.hpp"
#include "session.hpp"
#include "support.hpp"

namespace wattring {
namespace {

// Exit status of a child that ran f; a child that hangs is ended by its alarm.
int in_child(const std::function<int()>& f) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(f());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

bool is_refused(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.code() == Errc::state && contains(error.what(), "fork");
  }
  return false;
}

TEST(Fork, TheChildsSessionSaysSoAndGoesWithoutHanging) {
  auto session = std::make_unique<Session>(Environment(), std::vector<std::string>{"simulated"},
                                           SamplerOptions{.period_ns = ms, .rows = 512});
  session->start();
  const Mark a = session->mark(now_ns());
  const Mark b = session->mark(now_ns());
  const std::uint64_t head = session->samplers()[0]->ring().head();
  const int status = in_child([&] {
    int bad = 0;
    bad += is_refused([&] { session->mark(a.t_ns); }) ? 0 : 1;
    bad += is_refused([&] { session->between(a, b); }) ? 0 : 2;
    bad += is_refused([&] { session->start(); }) ? 0 : 4;
    bad += !session->running() ? 0 : 8;
    session->samplers()[0]->stats();
    session->stop();
    session.reset();
    return bad;
  });
  EXPECT_EQ(status, 0);
  // The parent's samples as if nothing had been.
  wait_until([&] { return session->samplers()[0]->ring().head() > head + 10; });
  EXPECT_TRUE(session->running());
  EXPECT_NO_THROW(session->between(a, session->mark(now_ns())));
}

TEST(Fork, ANewSessionInTheChildWorks) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer allows no new threads in a child of threads";
#endif
  Session session(Environment(), {"simulated"}, {.period_ns = ms, .rows = 512});
  session.start();
  EXPECT_EQ(in_child([] {
              Session own(Environment(), {"simulated"}, {.period_ns = ms, .rows = 512});
              own.start();
              const Mark a = own.mark(now_ns());
              sleep_for(10 * ms);
              const Mark b = own.mark(now_ns());
              own.stop();
              return own.between(a, b).at(0).at(0).value_j > 0 ? 0 : 1;
            }),
            0);
}

}  // namespace
}  // namespace wattring
