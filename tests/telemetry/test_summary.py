"""What a person is told of figures."""

from __future__ import annotations

import pytest

from pluginserver.telemetry.summary import quantile, summary

BOUNDS = [0.1, 0.2, 0.4]


@pytest.mark.parametrize(
    ("cells", "share", "wanted"),
    [
        ([0, 0, 0, 0, 0.0], 0.5, None),
        ([10, 0, 0, 0, 0.5], 0.5, 0.05),
        ([0, 10, 0, 0, 1.5], 0.5, 0.15),
        ([5, 0, 5, 0, 2.0], 0.5, 0.1),
        ([5, 0, 5, 0, 2.0], 0.75, 0.3),
        ([0, 0, 0, 3, 9.0], 0.99, 0.4),
    ],
)
def test_a_percentile_is_evenly_spread_inside_of_its_bucket(
    cells: list[float], share: float, wanted: float | None
) -> None:
    assert quantile(BOUNDS, cells, share) == pytest.approx(wanted)


def figures(returned: int, raised: int) -> dict[str, object]:
    count = returned + raised
    return {
        "connections": 3,
        "bounds": BOUNDS,
        "events": {
            "p": {
                "access": {
                    "outcomes": {"returned": returned, "raised": raised, "refused": 1},
                    "spent": [count, 0, 0, 0, 0.1],
                    "waited": [0, count, 0, 0, 0.1],
                    "asks": 3 * count,
                }
            }
        },
        "callbacks": {"kong.node.get_id": [0, 4, 0, 0, 0.6]},
    }


def test_rates_are_those_since_the_figures_before() -> None:
    (one,) = summary(figures(10, 2), figures(4, 2), 2.0)["events"]
    assert one["rate"] == 3.0
    (one,) = summary(figures(9, 2), None, 4.0)["events"]
    assert one["rate"] == 3.0


def test_errors_are_what_came_to_no_good_end_and_round_trips_count_for_events_that_began() -> None:
    found = summary(figures(9, 1), None, 1.0)
    (one,) = found["events"]
    assert (one["plugin"], one["phase"], one["count"], one["errors"]) == ("p", "access", 11, 2)
    assert one["round_trips"] == 3.0
    assert one["handler_p50"] == pytest.approx(0.05)
    assert one["waiting_p50"] == pytest.approx(0.15)
    assert found["connections"] == 3
    (callback,) = found["callbacks"]
    assert (callback["function"], callback["count"]) == ("kong.node.get_id", 4)
