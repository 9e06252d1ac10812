"""The layout of the drift page: HTML without a script."""

from components.backends.pages.frame import HEAD

OWN_STYLE = """
td.off { color: var(--bad); font-weight: 600; }
td.left, th.left { text-align: left; white-space: nowrap; }
.ids { font: .82rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
"""
SECTIONS = (("verdicts", "Verdicts"), ("shapes", "Distributions"), ("before", "Batches before"), ("ids", "Pictures"))
TEMPLATE = (
    """{% macro stroke(css) %}
<svg viewBox="0 0 26 12" aria-hidden="true"><path class="line {{ css }}" d="M0 6h26"/></svg>
{% endmacro %}
"""
    + HEAD
    + """<section id="verdicts">
<h2>Verdicts</h2>
<p>A statistic has drifted where its population stability index (PSI) is above the limit and the Kolmogorov-Smirnov test (KS)
leaves little to chance; p is corrected for all lines together.</p>
{% if rows %}
<div class="scroll" tabindex="0" role="region" aria-label="Verdicts"><table>
<thead><tr><th scope="col">statistic</th><th scope="col" class="left">verdict</th><th scope="col" class="left">against</th>
<th scope="col">pictures there / here</th><th scope="col">median there</th><th scope="col">here</th><th scope="col">PSI</th>
<th scope="col">KS</th><th scope="col">p</th></tr></thead>
<tbody>
{% for row in rows %}
<tr><td>{{ row.name }}</td><td class="left{{ ' off' if row.verdict == 'drifted' }}">{{ row.verdict }}</td>
{% for cell in row.cells %}<td{% if loop.first %} class="left"{% endif %}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% for why in rows|map(attribute="why")|select|unique %}
<p class="note">{{ why }}</p>
{% endfor %}
{% else %}
<p>There is nothing to compare with yet.</p>
{% endif %}
</section>
<section id="shapes">
<h2>Distributions</h2>
<p>Outlines: share of the pictures in each bin. Boxes: 5 to 95 %, 25 to 75 % and the median.</p>
<ul class="legend">
{% for css, name in names %}
<li>{{ stroke(css) }}{{ name }}</li>
{% endfor %}
</ul>
<div class="charts">
{% for chart in charts %}
<figure><h3>{{ chart.name }}</h3>{{ chart.svg|safe }}</figure>
{% endfor %}
</div>
</section>
<section id="before">
<h2>Batches before</h2>
{% if history.rows %}
<div class="scroll" tabindex="0" role="region" aria-label="PSI by batch"><table>
<caption>PSI by batch, the newest last</caption>
<thead><tr><th scope="col">statistic, against</th>
{% for batch in history.batches %}<th scope="col">{{ batch[:12] }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in history.rows %}
<tr><td>{{ row.name }}</td>
{% for value, off in row.cells %}<td{% if off %} class="off"{% endif %}>{{ value }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% else %}
<p>This is the first.</p>
{% endif %}
</section>
<section id="ids">
<h2>Pictures that make the difference</h2>
{% if ids %}
<p>Of the sample, those that lie where a drifted statistic holds more pictures than before.</p>
<p class="ids">{% for id in ids %}{{ id[:12] }}{{ " " if not loop.last }}{% endfor %}{% if ids_left %} and {{ ids_left }} more
in the report{% endif %}</p>
{% else %}
<p>None: nothing drifted.</p>
{% endif %}
</section>
</main>
<footer>The same samples give the same page.</footer>
</body>
</html>
"""
)
