"""What all agents share: episodes, acting, errors, going on, callbacks; by the quickest of them."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from gymnasium import spaces
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from small_environments import Corridor

from nnjit.agents import QAgent

QUICK = {
    "hidden_layer_sizes": (8,),
    "learning_starts": 32,
    "update_interval": 16,
    "n_updates": 2,
    "batch_size": 8,
    "memory_size": 200,
    "epsilon_steps": 200,
}


def agent_of(**options):
    return QAgent(**{"random_state": 0, **QUICK, **options})


@pytest.fixture(scope="module")
def fitted():
    """An agent; nothing may change it."""
    return agent_of().fit(Corridor(), 500)


def same(one, other):
    """Whether two agents have learned and recorded the same."""
    pairs = zip([*one.coefs_, *one.intercepts_], [*other.coefs_, *other.intercepts_])
    return all(np.array_equal(a, b) for a, b in pairs) and (
        one.returns_, one.lengths_, one.episode_ends_, one.n_steps_
    ) == (other.returns_, other.lengths_, other.episode_ends_, other.n_steps_)  # fmt: skip


def usable(agent):
    """Whether it can act and go on learning."""
    assert agent.act(np.eye(5, dtype=np.float32)[0]) in (0, 1)
    steps = agent.n_steps_
    agent.set_params(warm_start=True).fit(Corridor(), 40)
    return agent.n_steps_ == steps + 40


# --- learning and acting -----------------------------------------------------------------


def test_a_seed_gives_the_same_bits(fitted):
    envs = [Corridor() for _ in range(3)]
    assert same(agent_of().fit(envs[0], 500), fitted)
    assert same(agent_of(random_state=np.random.RandomState(0)).fit(envs[1], 500), fitted)
    assert not same(agent_of(random_state=1).fit(envs[2], 500), fitted)
    assert envs[0].seeds == envs[1].seeds != envs[2].seeds


def test_episodes_are_recorded():
    env = Corridor()
    agent = agent_of(restore_best=False).fit(env, 300)
    assert agent.n_steps_ == env.steps == 300
    assert len(agent.returns_) == len(agent.lengths_) == len(agent.episode_ends_)
    assert np.cumsum(agent.lengths_).tolist() == agent.episode_ends_
    assert 300 - 20 < agent.episode_ends_[-1] <= 300
    assert [r == 1.0 for r in agent.returns_] == [n < 20 or r == 1.0 for n, r in
                                                  zip(agent.lengths_, agent.returns_)]  # fmt: skip


def test_predictions_are_those_of_the_weights(fitted):
    rows = np.random.RandomState(0).uniform(size=(50, 5)).astype(np.float32)
    hidden = np.maximum(0, rows @ fitted.coefs_[0] + fitted.intercepts_[0])
    best = (hidden @ fitted.coefs_[1] + fitted.intercepts_[1]).argmax(axis=1)
    assert fitted.predict(rows).tolist() == best.tolist()
    assert [fitted.act(row) for row in rows] == best.tolist()
    assert fitted.n_features_in_ == 5 and fitted.n_layers_ == 3 and fitted.n_outputs_ == 2


def test_numbers_are_seen_one_hot_and_may_begin_anywhere():
    env = Corridor(seen="discrete", first=3)
    agent = agent_of().fit(env, 500)
    assert set(env.taken) == {3, 4}
    assert agent.coefs_[0].shape == (5, 8) and agent.coefs_[0].dtype == np.float32
    actions = agent.predict([3, 4, 5, 6, 7])
    assert [agent.act(k) for k in range(3, 8)] == actions.tolist()
    assert set(actions) <= {3, 4}
    for wrong in (2, 8, 3.5):
        with pytest.raises(ValueError, match="is not in Discrete"):
            agent.act(wrong)
        with pytest.raises(ValueError, match="are in Discrete"):
            agent.predict([wrong])


def test_boxes_of_any_shape_are_flattened_and_float64_stays():
    agent = agent_of().fit(Corridor(seen="image", dtype=np.float64), 200)
    assert agent.coefs_[0].shape == (10, 8) and agent.coefs_[0].dtype == np.float64
    shown = np.random.RandomState(0).uniform(size=(3, 5, 2))
    assert [agent.act(one) for one in shown] == agent.predict(shown).tolist()


def test_the_score_is_the_mean_return(fitted):
    env = Corridor()
    score = fitted.score(env, 7, random_state=3)
    assert env.seeds == seeds_of(7, 3)
    assert score == fitted.score(Corridor(), 7, random_state=3)
    returns = []
    for seed in seeds_of(7, 3):
        observation, _ = env.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            observation, reward, terminated, truncated, _ = env.step(fitted.act(observation))
            total, over = total + reward, terminated or truncated
        returns.append(total)
    assert score == np.mean(returns)


def seeds_of(n, random_state):
    rng = np.random.RandomState(random_state)
    return [int(rng.randint(2**31 - 1)) for _ in range(n)]


def test_assigned_weights_act(fitted):
    agent = pickle.loads(pickle.dumps(fitted))
    agent.coefs_[1] = np.zeros((8, 2), np.float32)
    for k in (0, 1):
        agent.intercepts_[1] = np.eye(2, dtype=np.float32)[k]
        assert agent.act(np.zeros(5)) == k and agent.predict(np.zeros((2, 5))).tolist() == [k, k]
    agent.coefs_[1][:] = np.inf
    with pytest.raises(ValueError, match="overflows"):
        agent.act(np.ones(5))
    agent.coefs_[1] = np.zeros((7, 2))
    with pytest.raises(ValueError, match="coefs_"):
        agent.act(np.ones(5))


def test_the_best_network_is_kept():
    """Of the ten best episodes in a row, the last such ten where there are several."""
    seen = []

    class Watching(QAgent):
        def _make_learner(self, *given):
            self.learner = super()._make_learner(*given)
            return self.learner

    def look(report):
        seen.append((report.total, report.agent.learner.engines[""].unpack()[0]))

    agent = Watching(random_state=0, **QUICK).fit(Corridor(), 600, callback=look)
    totals = [total for total, _ in seen]
    means = [np.mean(totals[k - 9 : k + 1]) for k in range(9, len(seen))]
    best = 9 + max(k for k, mean in enumerate(means) if mean == max(means))
    assert best < len(seen) - 1 and not np.array_equal(seen[-1][1], seen[best][1])
    np.testing.assert_array_equal(agent.coefs_[0], seen[best][1])
    last = agent_of(restore_best=False).fit(Corridor(), 600)
    assert not np.array_equal(last.coefs_[0], agent.coefs_[0])


# --- what goes wrong ---------------------------------------------------------------------


def broken(*result):
    raise OSError("no power")


def stopped(*result):
    raise KeyboardInterrupt


def nan_reward(observation, reward, *rest):
    return observation, np.nan, *rest


def text_reward(observation, reward, *rest):
    return observation, "much", *rest


def nan_observation(observation, *rest):
    return observation * np.nan, *rest


def short_observation(observation, *rest):
    return observation[:2], *rest


@pytest.mark.parametrize(
    "fault, error, message",
    [
        (broken, RuntimeError, r"raised OSError in step\(\) \(step 123, episode \d+\): no power"),
        (nan_reward, ValueError, r"invalid reward \(step 123, episode \d+\): it is nan"),
        (text_reward, ValueError, r"invalid reward \(step 123, episode \d+\): could not convert"),
        (nan_observation, ValueError, r"invalid observation \(step 123, .*not finite"),
        (short_observation, ValueError, r"invalid observation \(step 123, .*shape \(2,\), but"),
    ],
)
def test_an_environment_that_fails_leaves_what_was_learned(fault, error, message):
    agent = agent_of()
    with pytest.raises(error, match=message) as raised:
        agent.fit(Corridor(fails={123: fault}), 500)
    if fault is broken:
        assert isinstance(raised.value.__cause__, OSError)
    assert agent.n_steps_ == 122 and agent.episode_ends_[-1] <= 122
    before = agent_of(restore_best=False).fit(Corridor(), 122)
    assert agent.returns_ == before.returns_
    assert usable(agent)


def test_ctrl_c_keeps_what_was_learned():
    agent = agent_of()
    with pytest.warns(UserWarning, match="interrupted by user"):
        agent.fit(Corridor(fails={150: stopped}), 500)
    assert agent.n_steps_ == 149
    assert usable(agent)


def test_a_loss_that_is_not_finite_is_an_error_and_the_agent_stays():
    agent = agent_of(solver="sgd", learning_rate_init=1e30)
    with pytest.raises(ValueError, match="not finite in step .*lower learning_rate_init"):
        agent.fit(Corridor(), 500)
    assert agent.n_steps_ > 0 and "returns_" in vars(agent)


class Other(Corridor):
    """With spaces of its own."""

    def __init__(self, observations=None, actions=None):
        super().__init__()
        self.observation_space = observations or self.observation_space
        self.action_space = actions or self.action_space


class Vector(Corridor):
    num_envs = 3


def no_reset(*args, **kwargs):
    raise OSError("no power")


@pytest.mark.parametrize(
    "env, options, error, message",
    [
        (Other(spaces.Text(5)), {}, ValueError, "observation space is .*Box or .*FlattenObserv"),
        (Other(None, spaces.Box(0, 1, (2,))), {}, ValueError, "action space is .*Discrete, got"),
        (Other(None, spaces.MultiBinary(2)), {}, ValueError, "action space is .*Discrete, got"),
        (Vector(), {}, ValueError, "vector of 3 environments"),
        (7, {}, TypeError, "env must be an environment"),
        (Corridor(), {"n_steps": 0}, ValueError, "n_steps must be an int"),
        (Corridor(), {"n_steps": 2.5}, ValueError, "n_steps must be an int"),
    ],
)
def test_what_is_wrong_before_the_first_step_leaves_the_agent_as_it_was(
    env, options, error, message
):
    for agent in (agent_of(), agent_of().fit(Corridor(), 50)):
        before = dict(vars(agent))
        with pytest.raises(error, match=message):
            agent.fit(env, **{"n_steps": 50, **options})
        assert vars(agent) == before


@pytest.mark.parametrize(
    "name, value",
    [("gamma", 1.5), ("solver", "lbfgs"), ("n_step", 0), ("target_update", 0.0),
     ("learning_rate", "cosine"), ("hidden_layer_sizes", (-1,)), ("activation", "step")],
)  # fmt: skip
def test_bad_parameters_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        agent_of(**{name: value}).fit(Corridor(), 50)


def test_nothing_learned_yet_is_said():
    for use in ("predict", "act", "score"):
        with pytest.raises(NotFittedError):
            getattr(agent_of(), use)(np.zeros((1, 5)))


def test_observations_of_another_kind_are_refused(fitted):
    with pytest.raises(ValueError, match="shape"):
        fitted.predict(np.zeros(5))
    with pytest.raises(ValueError, match="NaN"):
        fitted.predict([[np.nan] * 5])
    with pytest.raises(ValueError, match="shape"):
        fitted.act(np.zeros(4))
    with pytest.raises(ValueError, match="observation_space is Box.*score needs"):
        fitted.score(Corridor(places=6))
    with pytest.raises(ValueError, match="n_episodes"):
        fitted.score(Corridor(), 0)


def test_gymnasium_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ImportError, match=r"nnjit\[agents\]"):
        agent_of().fit("CartPole-v1")


def test_importing_agents_loads_neither_gymnasium_nor_a_compiler():
    code = (
        "import sys, nnjit, nnjit.agents; nnjit.agents.QAgent(); "
        "print([n for n in ('gymnasium', 'numba', 'llvmlite') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


# --- going on ----------------------------------------------------------------------------


def test_a_warm_start_goes_on(fitted):
    agent = pickle.loads(pickle.dumps(fitted)).set_params(warm_start=True)
    agent.fit(Corridor(), 100)
    assert agent.n_steps_ == 600
    assert agent.returns_[: len(fitted.returns_)] == fitted.returns_
    assert len(agent.returns_) > len(fitted.returns_) and not same(agent, fitted)
    assert same(agent.set_params(warm_start=False, random_state=0).fit(Corridor(), 500), fitted)


@pytest.mark.parametrize(
    "options", [{"memory_size": 50}, {"n_step": 2}, {"gamma": 0.5}, {"solver": "sgd"}], ids=str
)
def test_a_warm_start_goes_on_with_other_parameters(options):
    agent = agent_of(warm_start=True).fit(Corridor(), 100)
    agent.set_params(**options).fit(Corridor(), 100)
    assert agent.n_steps_ == 200 and np.isfinite(agent.coefs_[0]).all()


def test_a_warm_start_in_another_environment_is_refused(fitted):
    agent = pickle.loads(pickle.dumps(fitted)).set_params(warm_start=True)
    with pytest.raises(ValueError, match="observation_space is Box.*warm_start cannot go on"):
        agent.fit(Corridor(places=6), 50)
    with pytest.raises(ValueError, match="coefs_ and intercepts_ are not of the network"):
        agent.set_params(hidden_layer_sizes=(9,)).fit(Corridor(), 50)
    assert same(agent, fitted)


def test_a_pickle_has_neither_the_environment_nor_the_memory(fitted):
    content = pickle.dumps(fitted)
    assert b"Corridor" not in content and b"gymnasium" not in content and len(content) < 20_000
    agent = pickle.loads(content)
    assert same(agent, fitted) and agent.observation_space_ == fitted.observation_space_
    assert usable(agent)


def test_a_clone_has_learned_nothing(fitted):
    agent = clone(fitted)
    assert agent.get_params() == fitted.get_params() and not hasattr(agent, "coefs_")


def cut(agent, steps):
    """Have an agent's fit end by an error in the step of that number."""
    with pytest.raises(RuntimeError, match="no power"):
        agent.fit(Corridor(fails={steps: broken}), 500)
    return agent


@pytest.mark.parametrize("interval", [3, 0.0])
def test_a_fit_that_is_cut_off_goes_on_bit_for_bit(tmp_path, fitted, interval):
    options = {"checkpoint": str(tmp_path / "run.npz"), "checkpoint_interval": interval}
    for steps in (100, 170):
        cut(agent_of(**options), steps)
    assert same(agent_of(**options).fit(Corridor(), 500), fitted)
    env = Corridor()
    assert same(agent_of(**options).fit(env, 500), fitted) and env.steps == 0


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    agent_of(checkpoint=path, checkpoint_interval=1).fit(Corridor(), 60)
    for options, env, what in [
        ({"gamma": 0.5}, Corridor(), "gamma"),
        ({"random_state": 7}, Corridor(), "random_state"),
        ({}, Corridor(places=7), "the observations"),
    ]:
        with pytest.raises(ValueError, match=f"of another run: .*{what}"):
            agent_of(checkpoint=path, **options).fit(env, 60)
    with pytest.raises(ValueError, match="no folder"):
        agent_of(checkpoint=tmp_path / "nowhere" / "run.npz").fit(Corridor(), 60)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, fitted):
    path = tmp_path / "run.npz"
    options = {"checkpoint": path, "checkpoint_interval": 2}
    cut(agent_of(**options), 200)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="damaged"):
        assert same(agent_of(**options).fit(Corridor(), 500), fitted)
    for name in (path, tmp_path / "run.npz.previous"):
        name.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="No checkpoint can be read"):
        agent_of(**options).fit(Corridor(), 500)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda plain, arrays: arrays.update({"networks.acting.0": np.ones((4, 8), "f4")}),
            "shape",
        ),
        (lambda plain, arrays: arrays["networks.acting.0"].fill(np.nan), "not finite"),
        (lambda plain, arrays: arrays.pop("learner.memory.actions"), "missing"),
        (lambda plain, arrays: arrays["learner.memory.actions"].fill(9), "no action"),
        (lambda plain, arrays: plain["learner"]["memory"].update(next=10**6), "transitions"),
        (lambda plain, arrays: plain["learner"].update(used=-1), "uniform"),
        (lambda plain, arrays: plain.update(steps=-5), "steps"),
        (lambda plain, arrays: plain["rng"].update(bit_generator="Mine"), "no generator"),
    ],
)
def test_nothing_in_a_checkpoint_is_believed(tmp_path, change, message):
    from nnjit.training.checkpoint import read, write

    path = tmp_path / "run.npz"
    agent_of(checkpoint=path, checkpoint_interval=1).fit(Corridor(), 60)
    plain, arrays = read(str(path))
    arrays = {name: np.array(array) for name, array in arrays.items()}
    change(plain, arrays)
    (tmp_path / "run.npz.previous").unlink()
    write(str(path), plain, arrays)
    (tmp_path / "run.npz.previous").unlink()
    with pytest.raises(ValueError, match=f"No checkpoint can be read.*{message}"):
        agent_of(checkpoint=path).fit(Corridor(), 60)


# --- who is told -------------------------------------------------------------------------


def test_a_callback_hears_of_episodes_and_can_end_learning():
    reports = []

    def callback(report):
        reports.append(report)
        return report.episode == 8

    agent = agent_of().fit(Corridor(), 5000, callback=callback)
    assert [one.episode for one in reports] == list(range(1, 9))
    assert [one.total for one in reports] == agent.returns_
    assert [one.length for one in reports] == agent.lengths_
    assert [one.n_steps for one in reports] == agent.episode_ends_
    assert agent.n_steps_ == reports[-1].n_steps and reports[0].agent is agent


def test_scikit_learns_callbacks_get_a_fitted_agent_after_each_episode():
    pytest.importorskip("sklearn.callback")

    actions = []

    class Callback:
        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            if context.task_name == "episode":
                actions.append(fitted_estimator.predict(np.eye(5)))
            return len(actions) == 4

    agent = agent_of().set_callbacks(Callback()).fit(Corridor(), 500)
    assert len(actions) == len(agent.returns_) == 4


@pytest.mark.parametrize("verbose, every", [(True, 1), (5, 5)])
def test_episodes_are_printed(capsys, verbose, every):
    agent = agent_of(verbose=verbose).fit(Corridor(), 300)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(agent.returns_) // every
    assert lines[0] == (
        f"Episode {every}, step {agent.episode_ends_[every - 1]}, "
        f"length = {agent.lengths_[every - 1]}, return = {agent.returns_[every - 1]:g}"
    )
