"""The layout of the review page."""

from components.backends.pages.frame import HEAD
from components.backends.pages.slider import SLIDER, SLIDER_SCRIPT, SLIDER_STYLE

OWN_STYLE = (
    SLIDER_STYLE
    + """
.review { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 460px), 1fr)); gap: 1rem; padding: 0;
  list-style: none; align-items: start; }
.review h3 { margin: .6rem 0 .2rem; overflow-wrap: anywhere; }
.faults { margin: .3rem 0; padding-left: 1.1rem; }
.faults b { color: var(--bad); }
.review .sub { overflow-wrap: anywhere; }
.review table { font-size: .82rem; }
.review ol { font-size: .82rem; padding-left: 1.2rem; overflow-wrap: anywhere; }
td.off { color: var(--bad); font-weight: 600; }
"""
)
SECTIONS = (("faults", "Faults"), ("pictures", "Pictures"))
TEMPLATE = (
    SLIDER
    + HEAD
    + """<section id="faults">
<h2>What was wrong</h2>
{% if rows %}
<div class="scroll" tabindex="0" role="region" aria-label="Faults by check"><table>
<thead><tr><th scope="col">check</th><th scope="col">pictures</th><th scope="col">worst value</th>
<th scope="col">limit</th></tr></thead>
<tbody>
{% for row in rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
<p class="note">A picture can fail several checks. What each looks at: docs/quality-control.md.</p>
{% else %}
<p>Nothing.</p>
{% endif %}
</section>
<section id="pictures">
<h2>Pictures, the worst first</h2>
<ol class="review">
{% for picture in pictures %}
<li class="card">
{{ slider(picture.origin, picture.before, picture.after, picture.width_px, picture.height_px, picture.tile) }}
<h3>{{ picture.place }}. {{ picture.origin }}</h3>
<ul class="faults">
{% for check, sentence in picture.failed %}
<li><b>{{ check }}</b> {{ sentence }}</li>
{% endfor %}
</ul>
<div class="sub num">{{ picture.meta }}</div>
<details><summary>Every check and attempt</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Every check of {{ picture.origin }}"><table>
<thead><tr><th scope="col">check</th><th scope="col">value</th><th scope="col">limit</th>
<th scope="col" class="words"></th></tr></thead>
<tbody>
{% for row in picture.rows %}
<tr><td>{{ row.check }}</td><td{% if row.off %} class="off"{% endif %}>{{ row.value }}</td><td>{{ row.limit }}</td>
<td class="words">{{ row.words }}</td></tr>
{% endfor %}
</tbody></table></div>
<ol>{% for line in picture.tried %}<li>{{ line }}</li>{% endfor %}</ol>
<div class="sub">Input {{ picture.id }}</div>
</details>
</li>
{% endfor %}
</ol>
{% if left_out %}<p class="note">{{ left_out }}</p>{% endif %}
</section>
</main>
<footer>The frame marks the tile that decided, where a tile did. The same results give the same page.</footer>
"""
    + SLIDER_SCRIPT
    + """</body>
</html>
"""
)
