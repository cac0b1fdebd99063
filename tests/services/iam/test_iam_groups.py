"""Groups: members, policies, names."""

from typing import Any

from tests.support.identity import ANY, policy, refused, statement


def test_a_groups_life(iam: Any, name: str, platform: Any) -> None:
    made = iam.create_group(GroupName=name, Path="/g/")["Group"]
    assert made["Arn"] == f"arn:aws:iam::{platform.account}:group/g/{name}" and made["GroupId"].startswith("AGPA")
    assert refused(iam.create_group, GroupName=name) == ("EntityAlreadyExists", f"Group with name {name} already exists.", 409)
    assert iam.get_group(GroupName=name)["Group"] == made
    assert iam.get_group(GroupName=name)["Users"] == []
    assert made in iam.list_groups(PathPrefix="/g/")["Groups"]
    iam.delete_group(GroupName=name)
    assert refused(iam.get_group, GroupName=name) == ("NoSuchEntity", f"The group with name {name} cannot be found.", 404)


def test_members(iam: Any, name: str) -> None:
    iam.create_group(GroupName=name)
    for number in range(3):
        iam.create_user(UserName=f"{name}-{number}")
        iam.add_user_to_group(GroupName=name, UserName=f"{name}-{number}")
    iam.add_user_to_group(GroupName=name, UserName=f"{name}-0")
    page = iam.get_group(GroupName=name, MaxItems=2)
    rest = iam.get_group(GroupName=name, Marker=page["Marker"])
    assert [user["UserName"] for user in page["Users"] + rest["Users"]] == [f"{name}-{number}" for number in range(3)]
    assert [group["GroupName"] for group in iam.list_groups_for_user(UserName=f"{name}-1")["Groups"]] == [name]
    said = refused(iam.delete_group, GroupName=name)
    assert said == ("DeleteConflict", "Cannot delete entity, must remove users from group first.", 409)
    iam.remove_user_from_group(GroupName=name, UserName=f"{name}-1")
    assert iam.list_groups_for_user(UserName=f"{name}-1")["Groups"] == []
    assert refused(iam.remove_user_from_group, GroupName=name, UserName=f"{name}-1")[0] == "NoSuchEntity"
    assert refused(iam.add_user_to_group, GroupName=name, UserName=name)[1] == f"The user with name {name} cannot be found."
    assert refused(iam.add_user_to_group, GroupName=name + "x", UserName=f"{name}-0")[1] == f"The group with name {name}x cannot be found."


def test_a_user_is_in_ten_groups_at_most(iam: Any, name: str) -> None:
    iam.create_user(UserName=name)
    for number in range(11):
        iam.create_group(GroupName=f"{name}-{number}")
        if number < 10:
            iam.add_user_to_group(GroupName=f"{name}-{number}", UserName=name)
    said = refused(iam.add_user_to_group, GroupName=f"{name}-10", UserName=name)
    assert said == ("LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10", 409)


def test_policies_keep_a_group(iam: Any, name: str) -> None:
    iam.create_group(GroupName=name)
    iam.put_group_policy(GroupName=name, PolicyName="p", PolicyDocument=ANY)
    assert refused(iam.delete_group, GroupName=name)[1] == "Cannot delete entity, must delete policies first."
    iam.delete_group_policy(GroupName=name, PolicyName="p")
    iam.attach_group_policy(GroupName=name, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    assert refused(iam.delete_group, GroupName=name)[1] == "Cannot delete entity, must detach all policies first."
    iam.detach_group_policy(GroupName=name, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.delete_group(GroupName=name)


def test_a_renamed_group_keeps_members_and_powers(iam: Any, user: Any, client: Any) -> None:
    group = user.name + "-g"
    iam.create_group(GroupName=group)
    iam.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=policy(statement("iam:ListGroups")))
    iam.add_user_to_group(GroupName=group, UserName=user.name)
    assert client("iam", **user.keys).list_groups(MaxItems=1)["Groups"]
    iam.update_group(GroupName=group, NewGroupName=group + "-new", NewPath="/x/")
    assert client("iam", **user.keys).list_groups(MaxItems=1)["Groups"]
    assert [one["Arn"].rpartition(":")[2] for one in iam.list_groups_for_user(UserName=user.name)["Groups"]] == [f"group/x/{group}-new"]
    iam.remove_user_from_group(GroupName=group + "-new", UserName=user.name)
    assert refused(client("iam", **user.keys).list_groups)[0] == "AccessDenied"
