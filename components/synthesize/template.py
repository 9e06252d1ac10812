"""The layout of the page of pairs: HTML without a script."""

from components.backends.pages.frame import HEAD

OWN_STYLE = """
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 540px), 1fr)); gap: 1rem; padding: 0;
  list-style: none; }
.two-up { display: grid; grid-template-columns: 1fr 1fr; gap: .4rem; }
.two-up img { width: 100%; height: auto; display: block; border-radius: 5px; }
.steps { font: .8rem/1.45 ui-monospace, monospace; padding-left: 1.2rem; margin: .4rem 0 0; overflow-wrap: anywhere; }
.tables { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 370px), 1fr)); gap: 1rem; align-items: start; }
.tables th, .tables td { padding: .2rem .45rem; white-space: nowrap; font-size: .86rem; }
.tables caption { overflow-wrap: anywhere; white-space: normal; }
td.off { color: var(--bad); font-weight: 600; }
"""
SECTIONS = (("pairs", "Pairs"), ("damage", "Damage"), ("choices", "Choices"), ("ranges", "Ranges"), ("checks", "Checks"))
TEMPLATE = (
    HEAD
    + """<section id="pairs">
<h2>Pairs and what was done to them</h2>
<p>{{ pairs|length }} pairs, the first by id, which is a hash. Left HQ, right LQ{{ cut }}</p>
<ul class="pairs">
{% for pair in pairs %}
<li class="card">
<div class="two-up"><img src="{{ pair.hq }}" alt="HQ of pair {{ pair.id }}">
<img src="{{ pair.lq }}" alt="LQ of pair {{ pair.id }}"></div>
<div class="sub num">{{ pair.id }} · {{ pair.variant }} · epoch {{ pair.epoch }} ·
PSNR {{ pair.psnr }} dB, SSIM {{ pair.ssim }}</div>
<details><summary>Recipe</summary><ol class="steps">{% for line in pair.lines %}<li>{{ line }}</li>{% endfor %}</ol></details>
</li>
{% endfor %}
</ul>
</section>
<section id="damage">
<h2>How much damage</h2>
<p>LQ against HQ over {{ measured }} measured pairs: PSNR over RGB, SSIM over luma.</p>
<div class="charts">
{% for chart in damage %}
<figure><h3>{{ chart.name }}</h3>{{ chart.svg|safe }}<figcaption>{{ chart.words }}</figcaption></figure>
{% endfor %}
</div>
</section>
<section id="choices">
<h2>What was chosen</h2>
<p>Every choice of all recipes beside its share in the settings. The last column is how many sigmas it is off, from the exact
binomial chance; more than {{ sigmas }} stops the flow.</p>
<div class="tables">
{% for choice in choices %}
<div class="card scroll" tabindex="0" role="region" aria-label="{{ choice.name }}"><table>
<caption>{{ choice.name }}</caption>
<thead><tr><th scope="col"></th><th scope="col">drawn</th><th scope="col">share</th><th scope="col">expected</th>
<th scope="col">sigmas</th></tr></thead>
<tbody>
{% for row in choice.rows %}
<tr><td>{{ row.word }}</td><td>{{ row.n }}</td><td>{{ row.share }}</td><td>{{ row.expected }}</td>
<td{% if row.off %} class="off"{% endif %}>{{ row.sigmas }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endfor %}
</div>
</section>
<section id="ranges">
<h2>Every drawn value</h2>
<p>All recipes; the dashed lines are the ends of the range in the settings.</p>
<div class="charts">
{% for chart in ranges %}
<figure><h3>{{ chart.name }}</h3>{{ chart.svg|safe }}<figcaption>{{ chart.words }}</figcaption></figure>
{% endfor %}
</div>
</section>
<section id="checks">
<h2>Checks</h2>
{% for check in checks %}
<h3>{{ check.suite }} <small>{{ check.words }}</small></h3>
{% if check.lines %}<ul>{% for line in check.lines %}<li>{{ line }}</li>{% endfor %}</ul>{% endif %}
{% endfor %}
</section>
</main>
<footer>The same manifest and settings give the same page.</footer>
</body>
</html>
"""
)
