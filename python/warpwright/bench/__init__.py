# SPDX-License-Identifier: Apache-2.0
"""``python -m warpwright.bench``: our operations beside PyTorch's kernels and every peer that imports."""
