// SPDX-License-Identifier: Apache-2.0
// The window as a plain Python type: entering and leaving are all that a measured program pays, and
// a call through pybind11 would double it.
#include <pthread.h>

#include <array>
#include <cstdint>
#include <new>

#include "bindings.hpp"
#include "session.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace wattring::python {
namespace {

struct Begun {
  pthread_t thread;
  std::uint64_t ticket;
};

struct Window {
  PyObject_HEAD PyObject* session;  // the native one, which owns what is below
  Windows* windows;
  Windows::SlotId slot;
  bool has_ended;
  Begun last;  // the last to end, and where
  std::uint64_t last_place;
  // Begun and not ended: a few without a further allocation, more where it recurses.
  std::size_t depth;
  std::size_t capacity;
  Begun* begun;
  std::array<Begun, 4> first;
};

Window& window_of(PyObject* self) { return *reinterpret_cast<Window*>(self); }

// Runs f, which must not throw, while no other thread changes the window: nothing where there is a
// GIL, one short lock per window object where there is none.
template <typename F>
void alone(PyObject* self, F f) {
#ifdef Py_GIL_DISABLED
  Py_BEGIN_CRITICAL_SECTION(self);
  f();
  Py_END_CRITICAL_SECTION();
#else
  static_cast<void>(self);
  f();
#endif
}

// Runs f with its errors as Python's.
template <typename F>
PyObject* translated(F f) {
  try {
    try {
      return f();
    } catch (const Error& error) {
      raise(error);  // which fails itself where Python is on its way out
    }
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_TypeError, error.what());
  }
  return nullptr;
}

PyObject* create(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  static const char* names[] = {"session", "name", nullptr};
  PyObject* session = nullptr;
  PyObject* text = nullptr;
  if (PyArg_ParseTupleAndKeywords(arguments, keywords, "OU:Window", const_cast<char**>(names),
                                  &session, &text) == 0) {
    return nullptr;
  }
  Py_ssize_t size = 0;
  const char* name = PyUnicode_AsUTF8AndSize(text, &size);
  if (name == nullptr) {
    return nullptr;
  }
  return translated([&]() -> PyObject* {
    Windows& windows = py::cast<Session&>(py::handle(session)).windows();
    PyObject* self = type->tp_alloc(type, 0);  // zeroed
    if (self == nullptr) {
      return nullptr;
    }
    Window& window = window_of(self);
    window.begun = window.first.data();
    window.capacity = window.first.size();
    try {
      window.slot = windows.open_slot({name, static_cast<std::size_t>(size)});
    } catch (...) {
      Py_DECREF(self);
      throw;
    }
    window.windows = &windows;
    window.session = Py_NewRef(session);
    return self;
  });
}

void destroy(PyObject* self) {
  Window& window = window_of(self);
  if (window.windows != nullptr) {
    window.windows->close_slot(window.slot);
  }
  if (window.begun != window.first.data()) {
    PyMem_Free(window.begun);
  }
  Py_XDECREF(window.session);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

bool reserve(Window& window) {
  if (window.depth < window.capacity) {
    return true;
  }
  const bool is_first = window.begun == window.first.data();
  auto* grown = static_cast<Begun*>(
      PyMem_Realloc(is_first ? nullptr : window.begun, 2 * window.capacity * sizeof(Begun)));
  if (grown == nullptr) {
    PyErr_NoMemory();
    return false;
  }
  if (is_first) {
    std::copy(window.first.begin(), window.first.end(), grown);
  }
  window.begun = grown;
  window.capacity *= 2;
  return true;
}

void keep(Window& window, std::uint64_t ticket) {
  window.begun[window.depth++] = {pthread_self(), ticket};
}

PyObject* enter(PyObject* self, PyObject* /*unused*/) {
  Window& window = window_of(self);
  bool has_room = false;
  std::uint64_t ticket = Windows::refused;
  alone(self, [&] {
    has_room = reserve(window);
    if (has_room) {
      ticket = window.windows->begin(window.slot);
      if (ticket != Windows::refused) {
        keep(window, ticket);
      }
    }
  });
  if (ticket != Windows::refused) {
    return Py_NewRef(self);
  }
  if (!has_room) {
    return nullptr;
  }
  // Refused: an error if that is for what the program did, else it runs uncounted.
  return translated([&]() -> PyObject* {
    py::cast<Session&>(py::handle(window.session)).require_started();
    alone(self, [&] {
      has_room = reserve(window);  // another thread may have taken it meanwhile
      if (has_room) {
        keep(window, Windows::refused);
      }
    });
    return has_room ? Py_NewRef(self) : nullptr;
  });
}

// The last that this thread has begun; the last of any where it has none, as a generator may be
// resumed by another.
Begun take_begun(Window& window, pthread_t thread) {
  std::size_t i = window.depth;
  do {
    --i;
  } while (i > 0 && pthread_equal(window.begun[i].thread, thread) == 0);
  if (pthread_equal(window.begun[i].thread, thread) == 0) {
    i = window.depth - 1;
  }
  const Begun begun = window.begun[i];
  std::copy(window.begun + i + 1, window.begun + window.depth, window.begun + i);
  --window.depth;
  return begun;
}

PyObject* leave(PyObject* self, PyObject* const* /*error*/, Py_ssize_t /*arguments*/) {
  Window& window = window_of(self);
  bool was_open = false;
  alone(self, [&] {
    if (window.depth > 0) {
      was_open = true;
      window.last = take_begun(window, pthread_self());
      window.last_place = window.windows->end(window.last.ticket);
      window.has_ended = true;
    }
  });
  if (!was_open) {
    return translated([]() -> PyObject* {
      throw Error(Errc::state, "this window is not open", "begin() it, or use `with`");
    });
  }
  Py_RETURN_NONE;
}

// (begin, end, cut off) of the window that ended last; waits until it is settled.
PyObject* settled(PyObject* self, PyObject* /*unused*/) {
  Window& window = window_of(self);
  return translated([&] {
    Session& session = py::cast<Session&>(py::handle(window.session));
    session.require_started();
    std::uint64_t ticket = Windows::refused;
    std::uint64_t place = Windows::refused;
    bool has_ended = false;
    alone(self, [&] {
      has_ended = window.has_ended;
      if (has_ended) {
        ticket = window.last.ticket;
        place = window.last_place;
      } else if (window.depth > 0 && !session.running()) {
        ticket = window.begun[window.depth - 1].ticket;  // cut off by the stop
      }
    });
    if (ticket == Windows::refused && !has_ended) {
      throw Error(Errc::state, "this window has not ended yet", "ask when it has");
    }
    Settled found = without_gil([&] { return session.windows().wait(window.slot, ticket, place); });
    if (found.lost) {
      throw Error(Errc::state, "the samples around one end of this window were overwritten",
                  "ask for a larger ring (rows=…)");
    }
    return py::make_tuple(std::move(found.from), std::move(found.to), found.cut_off)
        .release()
        .ptr();
  });
}

// METH_NOARGS and METH_FASTCALL functions have types of their own.
template <typename F>
PyCFunction as_method(F f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

}  // namespace

void register_window(py::module_& module) {
  static std::array<PyMethodDef, 4> methods{{
      {"__enter__", as_method(enter), METH_NOARGS, "Begin a window; any number may be open."},
      {"__exit__", as_method(leave), METH_FASTCALL, "End the one that this thread began last."},
      {"settled", as_method(settled), METH_NOARGS,
       "(begin, end, cut off) of the window that ended last; waits until it is settled."},
      {nullptr, nullptr, 0, nullptr},
  }};
  static const char* doc = "Begins and ends windows of one name in a session.";
  std::array<PyType_Slot, 5> slots{{
      {Py_tp_new, reinterpret_cast<void*>(create)},
      {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
      {Py_tp_methods, methods.data()},
      {Py_tp_doc, const_cast<char*>(doc)},
      {0, nullptr},
  }};
  PyType_Spec spec{"wattring._core.Window", sizeof(Window), 0,
                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots.data()};
  module.attr("Window") = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
}

}  // namespace wattring::python
