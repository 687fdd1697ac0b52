"""
A series goes on
================

`windows` cuts a series into rows and what comes after each, any regressor learns to predict it, and
`forecast` goes on from the end, a step at a time.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LinearRegression

from nnjit import RecurrentRegressor
from nnjit.forecasting import forecast, windows

time = np.arange(500)
series = np.sin(time / 6) + 0.7 * np.sin(time / 14)
known, steps = series[:400], 100

X, y = windows(known, 40)
recurrent = RecurrentRegressor(
    32,
    "lstm",
    batch_size=32,
    max_iter=200,
    learning_rate_init=0.01,
    learning_rate="cosine",
    random_state=0,
).fit(X, y)
short = LinearRegression().fit(*windows(known, 2))

fig, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
ax.plot(time[300:], series[300:], color="0.7", lw=4, label="the series")
ax.plot(time[400:], forecast(recurrent, known, steps), label="recurrent network, windows of 40")
ax.plot(time[400:], forecast(short, known, steps), "--", label="linear, windows of 2")
ax.axvline(400, color="0.4", ls=":")
ax.legend(loc="lower left", fontsize=8)
