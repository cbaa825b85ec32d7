// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <optional>
#include <type_traits>

namespace wattring::python {

// Runs f() while other Python threads may run. Unlike pybind11's guard it takes the GIL back
// outside of any destructor: before Python 3.14 that call ends the thread, by unwinding its stack,
// when the interpreter is on its way out, and unwinding through a destructor would abort the
// program.
template <typename F>
auto without_gil(F f) {
  using Result = std::invoke_result_t<F>;
  std::exception_ptr error;
  std::conditional_t<std::is_void_v<Result>, int, std::optional<Result>> result{};
  PyThreadState* const state = PyEval_SaveThread();
  try {
    if constexpr (std::is_void_v<Result>) {
      f();
    } else {
      result.emplace(f());
    }
  } catch (...) {
    error = std::current_exception();
  }
  PyEval_RestoreThread(state);
  if (error) {
    std::rethrow_exception(error);
  }
  if constexpr (!std::is_void_v<Result>) {
    return std::move(*result);
  }
}

}  // namespace wattring::python
