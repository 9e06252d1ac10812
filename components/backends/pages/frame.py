"""The upper part of every page: title, figures, versions and settings, sections; the page goes on inside `main`.

It asks for `window`, `style`, `title`, `lead`, `label`, `figures`, `links`, `facts` and `sections` ((anchor, name) each).
"""

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{{ window }}</title>
<style>{{ style|safe }}</style>
</head>
<body>
<a class="skip" href="#{{ sections[0][0] }}">Skip to the {{ sections[0][1]|lower }}</a>
<header>
<h1>{{ title }}</h1>
<p class="lead">{{ lead }}</p>
{% if label %}
<p class="label">{{ label }}</p>
{% endif %}
<ul class="figures">
{% for name, value in figures %}
<li><b>{{ value }}</b>{{ name }}</li>
{% endfor %}
</ul>
{% if links %}
<p>
{% for name, address in links.items() %}
<a href="{{ address }}">{{ name }}</a>{{ " · " if not loop.last }}
{% endfor %}
</p>
{% endif %}
<details><summary>Versions and settings</summary>
<dl>
{% for name, value in facts.items() %}
<dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}
</dl>
</details>
</header>
<nav aria-label="Sections"><ul>
{% for anchor, name in sections %}
<li><a href="#{{ anchor }}">{{ name }}</a></li>
{% endfor %}
</ul></nav>
<main>
"""
