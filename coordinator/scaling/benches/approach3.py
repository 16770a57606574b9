"""The peer of the bench: approach 3 as published code does it, with an analytic gradient and the same draws.

Reads a table with draws from the file named first, answers on the standard output. Times leave imports and reading out.
"""

import itertools
import json
import sys
import time

import numpy
from scipy.optimize import minimize

given = json.load(open(sys.argv[1]))
x, y, z = (numpy.log(numpy.array(given[key])) for key in ("n", "d", "loss"))
delta = given["delta"]


def objective(p, weights):
    a, alpha, b, beta, e = p
    u, v, w = numpy.exp(a - alpha * x), numpy.exp(b - beta * y), numpy.exp(e)
    total = u + v + w
    residual = z - numpy.log(total)
    size = numpy.abs(residual)
    small = size <= delta
    value = weights @ numpy.where(small, 0.5 * residual * residual, delta * (size - 0.5 * delta))
    pull = weights * numpy.where(small, residual, delta * numpy.sign(residual)) / total
    first, second = pull * u, pull * v
    return value, numpy.array([-first.sum(), first @ x, -second.sum(), second @ y, -(pull * w).sum()])


def descend(start, weights):
    # The objective is far below one, where the default tolerance would stop the descent at once.
    return minimize(objective, start, args=(weights,), jac=True, method="L-BFGS-B",
                    options={"maxiter": 5000, "maxfun": 10000, "ftol": 1e-14, "gtol": 1e-9})


answer = {}
if "grid" in given:
    started = time.perf_counter()
    ones = numpy.ones(len(x))
    grid = given["grid"]
    starts = itertools.product(grid["a"], grid["alpha"], grid["b"], grid["beta"], grid["e"])
    found = [descend(numpy.array(start), ones) for start in starts]
    answer["fit_seconds"] = time.perf_counter() - started
    best = min(found, key=lambda result: result.fun)
    answer["fit_objective"], answer["starts"] = float(best.fun), len(found)
if "weights" in given:
    weights = numpy.array(given["weights"], dtype=float)
    start = numpy.array(given["start"])
    started = time.perf_counter()
    objectives = [float(descend(start, row).fun) for row in weights]
    answer["draws_seconds"], answer["objectives"] = time.perf_counter() - started, objectives
json.dump(answer, sys.stdout)
