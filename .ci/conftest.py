"Marks of the tests in this folder."


def pytest_configure(config):
    config.addinivalue_line('markers', 'slow: load and fuzzing at length, left out of `make test`')
