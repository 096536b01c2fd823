// SPDX-License-Identifier: Apache-2.0
// hotpath/control.hpp - what surrounds a measurement: is this machine and that endpoint fit for one?
#pragma once
#include <hotpath/control/doctor.hpp>
