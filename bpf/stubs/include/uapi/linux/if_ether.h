/* Not used. */
#pragma once

