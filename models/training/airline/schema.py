"""The survey's columns: what identifies a row, what a model may learn from, and the answer."""

from __future__ import annotations

ROW_NUMBER_COLUMN = ""
ID_COLUMN = "id"
LABEL_COLUMN = "satisfaction"
CLASSES = ("neutral or dissatisfied", "satisfied")
POSITIVE = "satisfied"

RATING_COLUMNS = (
    "Inflight wifi service",
    "Departure/Arrival time convenient",
    "Ease of Online booking",
    "Gate location",
    "Food and drink",
    "Online boarding",
    "Seat comfort",
    "Inflight entertainment",
    "On-board service",
    "Leg room service",
    "Baggage handling",
    "Checkin service",
    "Inflight service",
    "Cleanliness",
)
# In the order of the file. Neither `id` nor the row number: neighbouring ids are passengers of one flight, so the id
# tells a model the label of rows that it has seen.
FEATURE_COLUMNS = (
    "Gender",
    "Customer Type",
    "Age",
    "Type of Travel",
    "Class",
    "Flight Distance",
    *RATING_COLUMNS,
    "Departure Delay in Minutes",
    "Arrival Delay in Minutes",
)
TEXT_COLUMNS = ("Gender", "Customer Type", "Type of Travel", "Class")
NUMBER_COLUMNS = tuple(name for name in FEATURE_COLUMNS if name not in TEXT_COLUMNS)
