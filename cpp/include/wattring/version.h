/* SPDX-License-Identifier: Apache-2.0 */
/* The one place of the version: CMake, the wheel's metadata and `wattring --version` read it. */
#ifndef WATTRING_VERSION_H
#define WATTRING_VERSION_H
#define WATTRING_VERSION "0.1.0"
#endif
