"""Velocity templates, as its reference describes them."""

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.services.apigateway.vtl import Template, TemplateError, Variables
from haar.services.apigateway.vtl import nodes as limits
from haar.services.apigateway.vtl.values import from_json


def render(source: str, **variables: Any) -> str:
    return Template(source).render(variables)


@pytest.mark.parametrize(
    "source, expected",
    [
        ("Hello $name!", "Hello A!"),
        ("${name}s and $!name", "As and A"),
        ("$nothing $!nothing ${nothing} $!{nothing}|", "$nothing  ${nothing} |"),
        ("$person.name $person['name'] $person.get('name')", "B B B"),
        ("$person.nothing $person.nothing.more", "$person.nothing $person.nothing.more"),
        ("$list[0] $list[-1] $list.get(1) $list.size()", "1 3 2 3"),
        ("$100 $ $$name a@b.c", "$100 $ $A a@b.c"),
        (r"\$name \\$name \$nothing", r"$name \A \$nothing"),
        ("$yes $no $float $whole", "true false 1.5 3"),
        ("$list $person", "[1, 2, 3] {name=B, age=7}"),
        ("$name.length()$name.toLowerCase()", "1a"),
        ("$name. $name.", "A. A."),
    ],
)
def test_references(source: str, expected: str):
    values = {"name": "A", "person": {"name": "B", "age": 7}, "list": [1, 2, 3], "yes": True, "no": False, "float": 1.5, "whole": 3}
    assert render(source, **values) == expected


@pytest.mark.parametrize(
    "source, expected",
    [
        ("#set($x = 5)$x", "5"),
        ("#set($x = 'a $y')$x #set($y = 1)#set($z = \"a $y\")$z", "a $ya 1"),
        ('#set($x = "say ""hi""")$x', 'say "hi"'),
        ("#set($x = 'it''s')$x", "it's"),
        ("#set($x = [1, 'b', [2]])$x[1]$x[2][0]", "b2"),
        ("#set($x = [3..1])$x", "[3, 2, 1]"),
        ("#set($x = {'a': 1, \"b\": {'c': 2}})$x.b.c $x.a", "2 1"),
        ("#set($x = {})#set($x.a = 1)#set($x['b'] = 2)$x", "{a=1, b=2}"),
        ("#set($x = [1, 2])#set($x[0] = 9)$x", "[9, 2]"),
        ("#set($x = 1)#set($x = $nothing)$x", "1"),
        ("#set($x = 2 + 3 * 4 - (1 + 1))$x", "12"),
        ("#set($x = 7 / 2)$x #set($y = -7 / 2)$y #set($z = -7 % 3)$z", "3-3-1"),
        ("#set($x = 7.0 / 2)$x #set($y = 1 / 0)$y", "3.5$y"),
        ("#set($x = 'a' + 1)$x", "a1"),
        ("#set( $x=1 )\n  #set($y=2)\n$x$y", "12"),
        ("#{set}($x = 1)$x", "1"),
    ],
)
def test_set(source: str, expected: str):
    assert render(source) == expected


@pytest.mark.parametrize(
    "condition, expected",
    [
        ("true", True),
        ("false", False),
        ("$nothing", False),
        ("!$nothing", True),
        ("$empty", True),
        ("$empty == ''", True),
        ("1 == 1.0", True),
        ("'1' == 1", True),
        ("'a' == 'b'", False),
        ("'a' != 'b'", True),
        ("$nothing == $nothing", True),
        ("$nothing == 'a'", False),
        ("1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3", True),
        ("1 lt 2 and 2 le 2 and 3 gt 2 and 3 ge 3", True),
        ("1 eq 2 or 1 ne 2", True),
        ("not (1 == 1)", False),
        ("true || $nothing.boom", True),
        ("false && true || true", True),
        ("'a' < 'b'", False),
        ("$list.contains(2)", True),
        ("$name.equals('A') && $name.equalsIgnoreCase('a')", True),
    ],
)
def test_conditions(condition: str, expected: bool):
    assert render(f"#if({condition})yes#{{else}}no#end", empty="", list=[1, 2], name="A") == ("yes" if expected else "no")


@pytest.mark.parametrize(
    "source, expected",
    [
        ("#if($a)1#elseif($b)2#elseif($c)3#else 4#end", "2"),
        ("#if(false)\nx\n#else\ny\n#end\nz", "y\nz"),
        ("#foreach($i in $list)$i#if($foreach.hasNext), #end#end", "1, 2, 3"),
        (
            "#foreach($i in $list)$foreach.index$foreach.count$velocityCount#if($foreach.first)F#end#if($foreach.last)L#end #end",
            "011F 122 233L ",
        ),
        ("#foreach($i in $map)$i;#end#foreach($k in $map.keySet())$k=$map.get($k);#end", "1;2;x=1;y=2;"),
        ("#foreach($e in $map.entrySet())$e.key=$e.value,$e.getKey()#end", "x=1,xy=2,y"),
        ("#foreach($i in $nothing)x#end-", "-"),
        ("#foreach($i in [1..3])#foreach($j in [1..2])$foreach.parent.index$j #end#end", "01 02 11 12 21 22 "),
        ("#foreach($i in [1..9])#if($i == 3)#break#end$i#end.", "12."),
        ("#set($i = 'kept')#foreach($i in $list)#end$i", "kept"),
        ("a#stop b", "a"),
        ("## all of it\nb #* this\n too *# c", "b  c"),
        ("#[[ $list #if ]]#|", " $list #if |"),
        ("#macro(hi $who $how)<$who:$how>#end#hi('a' 1)#hi($list[0], 2)", "<a:1><1:2>"),
        ("#macro(twice $x)$x$x#end#twice('a')$!x", "aa"),
        ("#macro(deep $n)$n#if($n > 0)#set($m = $n - 1)#deep($m)#end#end#deep(3)", "3210"),
        ("#define($block)[$x]#end#set($x = 1)$block#set($x = 2)$block", "[1][2]"),
        ("#evaluate('$list[0]')", "1"),
        ("#color #1 # #", "#color #1 # #"),
        ("#nosuch(1)", "#nosuch(1)"),
        ('#set($s = "#foreach($i in $list)$i#end")$s', "123"),
    ],
)
def test_directives(source: str, expected: str):
    assert render(source, b=True, list=[1, 2, 3], map={"x": 1, "y": 2}) == expected


@pytest.mark.parametrize(
    "expression, expected",
    [
        ("$s.substring(2)", "llo, World"),
        ("$s.substring(0, 5)", "Hello"),
        ("$s.indexOf('o') $s.lastIndexOf('o') $s.indexOf('zz')", "4 8 -1"),
        ("$s.replace('l', 'L')", "HeLLo, WorLd"),
        ("$s.replaceAll('[aeiou]', '*')", "H*ll*, W*rld"),
        ("$s.replaceAll('(\\w+), (\\w+)', '$2 $1')", "World Hello"),
        ("$s.replaceFirst('l+', '')", "Heo, World"),
        ("$s.split(', ')", "[Hello, World]"),
        ("$s.split(',').size()", "2"),
        ("$s.matches('Hello.*') $s.matches('Hello')", "true false"),
        ("$s.startsWith('He') $s.endsWith('x') $s.contains('lo,')", "true false true"),
        ("$s.toUpperCase().charAt(1)", "E"),
        ("$s.concat('!').trim().isEmpty()", "false"),
        ("$s.substring(0, 5).toLowerCase().hashCode()", "99162322"),
        ("$s.compareTo('Hello, World')", "0"),
        ("$i.intValue() $i.toString().length()", "42 2"),
        ("$i.parseInt('17')", "17"),
        ("$list.isEmpty() $list.indexOf(2) $list.contains('2')", "false 1 true"),
        ("$list.add(4)$list.remove(0)$list", "true1[2, 3, 4]"),
        ("$list.addAll([7, 8])$list.subList(1, 3)", "true[2, 3]"),
        ("$map.containsKey('a') $map.size() $map.values()", "true 1 [1]"),
        ("$!map.put('b', 2)$map.getOrDefault('c', 3)$map", "3{a=1, b=2}"),
        ("$map.remove('a')$map.isEmpty()", "1true"),
        ("$s.nosuch()", "$s.nosuch()"),
        ("$s.substring(99)", "$s.substring(99)"),
        ("$s.getClass()", "$s.getClass()"),
        ("$s.__class__ $s.format", "$s.__class__ $s.format"),
    ],
)
def test_methods(expression: str, expected: str):
    assert render(expression, s="Hello, World", i=42, list=[1, 2, 3], map={"a": 1}) == expected


def test_variables_of_api_gateway_are_empty_where_they_are_not():
    context = Variables({"identity": {"sourceIp": "1.2.3.4", "user": None}})
    assert render("$context.identity.sourceIp|$context.identity.user|$context.no|$context.identity.no", context=context) == "1.2.3.4|||"
    assert render('"$context.authorizer.claims.email" "$context.no.way.down"', context=context) == '"" ""'


UNREADABLE = ["#if(true)", "#if(true) #else", "#end", "#foreach($x)#end", "#set(5 = 5)", "#set($x = )", "#set($x = 'a)", "#if(1 +)#end"]


@pytest.mark.parametrize("source", [*UNREADABLE, "#include('x')", "#parse('x')"])
def test_says_what_it_cannot_read(source: str):
    with pytest.raises(TemplateError):
        Template(source)


def test_a_loop_ends_after_a_thousand_turns():
    assert render("#foreach($i in $list)x#end", list=list(range(5000))) == "x" * limits.MAX_LOOPS


@pytest.mark.parametrize(
    "source",
    [
        "#macro(f)#f()#end#f()",
        "#define($a)$a#end$a",
        "#set($x = 'aaaaaaaaaa')" + "#set($x = $x + $x)" * 30 + "$x",
        "#foreach($a in [1..1000])#foreach($b in [1..1000])#foreach($c in [1..1000])#end#end#end",
        "#set($x = [1..99999])$x",
        "(" * 10 + "#if(" + "(" * 500 + "1" + ")" * 500 + ")x#end",
        "#if(" + "!" * 5000 + "true)x#end",
        "#set($x = 'aaaaaaaaaa')#foreach($i in [1..1000])#set($x = \"$x$x\")#end$x",
    ],
)
def test_what_does_too_much_is_stopped(source: str):
    with pytest.raises(TemplateError):
        render(source)


@pytest.mark.parametrize("body", ["[" * 500 + "]" * 500, "[1]"])
def test_what_is_nested_too_deeply_is_not_printed(body: str):
    with pytest.raises(TemplateError):
        render("$!x.add($x)$x", x=from_json(json.loads(body)))


@given(st.text(string.ascii_letters + " .,:;{}[]()\"'\n-/", max_size=60))
def test_text_is_printed_as_it_is(text: str):
    assert render(text) == text


@given(st.text("$#!{}()[]\"'\\.ax1, =+-\n", max_size=40))
def test_no_template_is_more_than_an_error(source: str):
    try:
        render(source, a="A", x=[1], ax={"a": 1})
    except TemplateError:
        pass


@given(st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_whole_numbers_divide_as_java_has_it(left: int, right: int):
    printed = render("#set($q = $a / $b)#set($r = $a % $b)$!q $!r", a=left, b=right)
    if right == 0:
        assert printed == " "
    else:
        quotient, rest = map(int, printed.split())
        assert quotient * right + rest == left and abs(rest) < abs(right) and (rest == 0 or (rest < 0) == (left < 0))


@pytest.mark.parametrize(
    "source, expected",
    [
        ("a\n  #set($x = 1)\nb", "a\n  b"),
        ("  #set($x = 1)\n  #set($y = 2)\nb", "b"),
        ("#set($x = 1)  $x  #set($y = 2)b", "  1b"),
        ("a #set($x = 1) b", "a  b"),
    ],
)
def test_blanks_before_set_go_with_it_unless_they_belong_to_a_text(source: str, expected: str):
    assert render(source) == expected


def test_a_macro_without_arguments_needs_no_brackets():
    assert render("#macro(hello)hi#end#hello, #hello() #nobody") == "hi, hi #nobody"
    assert render("$t.compareTo('Hello') $t.compareTo('Help')", t="Hello World") == "6 -4"
