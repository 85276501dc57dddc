"Package minisd. Every value lives in settings.ini; edit it there."

from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

root = Path(__file__).resolve().parent
ini = ConfigParser(delimiters=['='])
ini.read(root / 'settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']


def words(key):
    return cfg.get(key, '').split()


setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    author=cfg['author'],
    author_email=cfg['author_email'],
    url=cfg['git_url'],
    keywords=words('keywords'),
    license='Apache-2.0',
    long_description=(root / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    python_requires='>=' + cfg['min_python'],
    packages=find_packages(include=[cfg['lib_path'], cfg['lib_path'] + '.*'], exclude=[cfg['lib_path'] + '.lab*']),
    package_data={cfg['lib_path']: ['weights/**/*', 'page/*']},
    zip_safe=False,
    install_requires=words('requirements'),
    extras_require={k.removesuffix('_requirements'): words(k) for k in cfg if k.endswith('_requirements')},
    entry_points={
        'console_scripts': words('console_scripts'),
        'nbdev': [f"{cfg['lib_path']}={cfg['lib_path']}._modidx:d"],
    },
)
