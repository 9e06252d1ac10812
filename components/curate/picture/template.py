"""The layout of the page: HTML without a script, so there is nothing that can fail offline."""

from components.backends.pages.frame import HEAD

TEMPLATE = (
    """{% macro swatch(css) %}
<svg viewBox="0 0 26 12" aria-hidden="true"><rect class="{{ css }}" width="26" height="12" rx="3"/></svg>
{% endmacro %}
{% macro stroke(css) %}
<svg viewBox="0 0 26 12" aria-hidden="true"><path class="line {{ css }}" d="M0 6h26"/></svg>
{% endmacro %}
{% macro frame(css) %}
<svg viewBox="0 0 26 12" aria-hidden="true"><path class="framed {{ css }}" d="M2 2h22v8H2z"/></svg>
{% endmacro %}
{% macro bar(percent) %}
<div class="bar" aria-hidden="true"><i style="width: {{ percent }}%"></i></div>
{% endmacro %}
{% macro sheet(thumbs) %}
<ul class="sheet">
{% for thumb in thumbs %}
<li{% if thumb.mark %} class="{{ thumb.mark }}"{% endif %}>
<div class="frame"><img src="{{ thumb.uri }}" alt="{{ thumb.alt }}" width="{{ thumb.width_px }}" height="{{ thumb.height_px }}">
</div>
<span>{{ thumb.caption }}</span><span class="name" title="{{ thumb.origin }}">{{ thumb.name }}</span>
</li>
{% endfor %}
</ul>
{% endmacro %}
{% macro table(caption, header, rows, now=-1, words=-1) %}
<div class="scroll" tabindex="0" role="region" aria-label="{{ caption }}"><table>
<caption>{{ caption }}</caption>
<thead><tr>
{% for cell in header %}<th scope="col"{% if loop.index0 == words %} class="words"{% endif %}>{{ cell }}</th>{% endfor %}
</tr></thead>
<tbody>
{% for row in rows %}
<tr{% if loop.index0 == now %} class="now"{% endif %}>
{% for cell in row %}<td{% if loop.index0 == words %} class="words"{% endif %}>{{ cell }}</td>{% endfor %}
</tr>
{% endfor %}
</tbody></table></div>
{% endmacro %}
"""
    + HEAD
    + """<section id="funnel">
<h2>From listed to kept</h2>
<p>Each row of the manifest has one verdict; a row that fails one rule is not judged by the next. In purple, what the paper
reports of its own data (LucidFlux, section 3.4): published figures, not measured here.</p>
<ol class="funnel">
<li class="head-row head"><span>Stage</span><span>This dataset</span><span>The paper</span></li>
{% for step in funnel %}
<li>
<div><span class="head">{{ step.name }}</span><div class="sub">{{ step.rule }}</div></div>
<div>{{ bar(step.percent) }}
<span class="num"><b>{{ step.left }}</b> · {{ step.of_listed }} of listed
{%- if step.of_before %} · {{ step.of_before }}{% endif %}</span>
{% if step.removed %}
<div class="gone num">{% for reason in step.removed %}<span>− {{ reason }}</span>{% endfor %}</div>
{% endif %}
</div>
{% if step.paper %}
<div class="paper">{{ bar(step.paper.percent) }}
<span class="num"><span class="only">Paper: </span><b>{{ step.paper.left }}</b> {{ step.paper.words }}</span></div>
{% endif %}
</li>
{% endfor %}
</ol>
<p class="note">{{ paper_note }}</p>
{% if failures %}
{{ table("What failed: there is no picture to show", ["reason", "rows", "of listed", "for example"], failures, words=3) }}
{% endif %}
</section>
<section id="scores">
<h2>Scores and limits</h2>
<ul class="legend"><li>{{ swatch("kept") }}kept</li><li>{{ swatch("here") }}rejected by this score</li>
<li>{{ swatch("other") }}rejected by another rule</li></ul>
<div class="charts">
{% for chart in histograms %}
<figure><h3>{{ chart.name }}</h3>{{ chart.svg|safe }}<figcaption>{{ chart.words }}</figcaption></figure>
{% endfor %}
</div>
</section>
<section id="resolution">
<h2>Resolution</h2>
<div class="charts two">
<figure><ul class="legend"><li>{{ swatch("kept") }}kept</li><li>{{ swatch("other") }}all decoded</li></ul>
{{ resolution.svg|safe }}<figcaption>{{ resolution.words }}</figcaption></figure>
<div class="card">{{ table("Sides and megapixels", ["", "5 %", "median", "95 %"], resolution.rows) }}</div>
</div>
</section>
<section id="sheets">
<h2>Contact sheets</h2>
<p>The pictures with the smallest sha256 of each kind: a choice that neither quality nor order influences, and that a new
version of the dataset repeats.</p>
{% for one in sheets %}
<h3>{{ one.title }} <small>{{ one.words }}</small></h3>
{{ sheet(one.thumbs) }}
{% endfor %}
</section>
<section id="duplicates">
<h2>Found twice</h2>
<p>{{ twice.words }}</p>
{% if twice.shown %}
<p class="note">Solid green: the picture that stands for its group. Dashed orange: the others. The largest groups come first,
then some by the hash of the group.</p>
<div class="groups">
{% for group in twice.shown %}
<div class="card"><h3>{{ group.total }} pictures
{%- if group.total > group.thumbs|length %} <small>{{ group.thumbs|length }} shown</small>{% endif %}</h3>
{{ sheet(group.thumbs) }}</div>
{% endfor %}
</div>
{% endif %}
{% if twice.equal %}
<h3>Same bytes <small>{{ twice.equal_words }}</small></h3>
{{ sheet(twice.equal) }}
{% endif %}
{% if twice.benchmarks %}
{{ table("Sharing content with a registered benchmark", ["benchmark", "pictures"], twice.benchmarks) }}
<p class="note">These pictures, and what each is found in, are in the contact sheet “Leak”.</p>
{% endif %}
</section>
<section id="comparison">
<h2>Beside other datasets</h2>
<p>Outlines: share of the pictures in each bin. Boxes: 5 to 95 %, 25 to 75 % and the median. After figure 3 of the paper.</p>
<ul class="legend">
{% for css, name in comparison.names %}
<li>{{ stroke(css) }}{{ name }}</li>
{% endfor %}
</ul>
<div class="charts two">
{% for name, svg in comparison.charts %}
<figure><h3>{{ name }}</h3>{{ svg|safe }}</figure>
{% endfor %}
</div>
{{ table("Medians", comparison.header, comparison.rows) }}
</section>
<section id="map">
<h2>What is in it</h2>
{% if map %}
<p>{{ map.words }}</p>
{% if map.names|length > 1 %}
<ul class="legend">
{% for css, name in map.names %}
<li>{% if loop.first %}no frame: {% else %}{{ frame(css) }}{% endif %}{{ name }}</li>
{% endfor %}
</ul>
{% endif %}
<div class="map" tabindex="0" role="region" aria-label="Map of pictures; scrolls sideways">{{ map.svg|safe }}</div>
<p class="note">{{ map.features }}</p>
{% else %}
<p>Fewer than five pictures are kept: too few for a map.</p>
{% endif %}
</section>
<section id="cuts">
<h2>Other cuts</h2>
<p>{{ cuts.words }}</p>
{{ table("Cuts of the quality rank", cuts.cut_header, cuts.cuts, cuts.present) }}
{{ table("Moved limits: what would pass the blur and flatness filters", cuts.moved_header, cuts.moved, 0) }}
<p class="note">{{ cuts.note }}</p>
{% for pair in cuts.sheets %}
<div class="card edge">
{% for one in pair %}
<div><h3>{{ one.title }}</h3>
{% if one.thumbs %}{{ sheet(one.thumbs) }}{% else %}<p class="note">There is none.</p>{% endif %}
</div>
{% endfor %}
</div>
{% endfor %}
</section>
</main>
<footer>Every number comes from the manifest {{ subject.curated.sha256 }} and the manifests it is compared with;
the same manifests and settings give this page byte for byte.</footer>
</body>
</html>
"""
)
