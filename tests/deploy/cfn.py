"""A CloudFormation template with its parameters filled in.

Covers the functions that deploy/aws uses and fails on any other, so that a policy under test is the
one that stands in the template and not a copy of it.
"""

import re
from pathlib import Path

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ACCOUNT = "111122223333"
REGION = "eu-central-1"
ABSENT = object()
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "example",
    "AWS::NoValue": ABSENT,
}


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags kept as {'Fn::X': …}."""


def _tag(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    name = "Ref" if suffix == "Ref" else f"Fn::{suffix}"
    return {name: value}


Loader.add_multi_constructor("!", _tag)


class Template:
    """`Template('bucket', VpcEndpointId='vpce-1', …)`; `attributes` answers Fn::GetAtt."""

    def __init__(self, name, attributes=None, **parameters):
        self.body = yaml.load((DEPLOY / "aws" / f"{name}.yaml").read_text(), Loader)
        known = self.body["Parameters"]
        unknown = set(parameters) - set(known)
        if unknown:
            raise KeyError(f"{name}.yaml has no parameter {unknown}")
        self.values = dict(PSEUDO)
        for key, spec in known.items():
            value = parameters.get(key, spec.get("Default", ABSENT))
            if value is ABSENT:
                raise KeyError(f"{name}.yaml needs parameter {key}")
            pattern = spec.get("AllowedPattern")
            if pattern and not re.fullmatch(pattern, str(value)):
                raise ValueError(f"{key}={value!r} does not match {pattern}")
            if "AllowedValues" in spec and value not in spec["AllowedValues"]:
                raise ValueError(f"{key}={value!r} is none of {spec['AllowedValues']}")
            self.values[key] = value
        self.attributes = attributes or {}

    def resource(self, logical):
        """The properties of a resource, or None where its condition is false."""
        resource = self.body["Resources"][logical]
        if "Condition" in resource and not self._condition(resource["Condition"]):
            return None
        return self.resolve(resource["Properties"])

    def output(self, name):
        return self.resolve(self.body["Outputs"][name]["Value"])

    def resolve(self, node):
        if isinstance(node, list):
            return [v for v in map(self.resolve, node) if v is not ABSENT]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (key, value), = node.items()
            if key == "Ref":
                return self._name(value)
            if key.startswith("Fn::"):
                return getattr(self, "_" + key[4:].lower())(value)
        pairs = ((k, self.resolve(v)) for k, v in node.items())
        return {k: v for k, v in pairs if v is not ABSENT}

    def _name(self, name):
        if name in self.values:
            return self.values[name]
        if name in self.body["Resources"]:
            return self.attributes.get(name, f"id-of-{name}")
        raise KeyError(f"nothing is called {name}")

    def _condition(self, name):
        return self._truth(self.body["Conditions"][name])

    def _truth(self, node):
        (key, value), = node.items()
        if key == "Fn::Equals":
            left, right = self.resolve(value)
            return left == right
        if key == "Fn::Not":
            return not self._truth(value[0])
        raise KeyError(f"condition function {key} is not covered here")

    def _if(self, value):
        name, yes, no = value
        return self.resolve(yes if self._condition(name) else no)

    def _join(self, value):
        separator, parts = value
        return separator.join(self.resolve(parts))

    def _split(self, value):
        separator, text = value
        return self.resolve(text).split(separator)

    def _select(self, value):
        index, items = value
        return self.resolve(items)[int(index)]

    def _getazs(self, _value):
        return [f"{REGION}a", f"{REGION}b"]

    def _getatt(self, value):
        name = value if isinstance(value, str) else ".".join(value)
        if name in self.attributes:
            return self.attributes[name]
        raise KeyError(f"give attributes[{name!r}]")

    def _sub(self, value):
        text, own = (value, {}) if isinstance(value, str) else value
        own = {k: self.resolve(v) for k, v in own.items()}

        def one(match):
            name = match.group(1)
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in own:
                return own[name]
            return str(self._getatt(name) if "." in name else self._name(name))

        return re.sub(r"\$\{([^}]+)\}", one, text)
