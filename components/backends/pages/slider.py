"""Two pictures of one size behind each other, cut at a line that mouse, finger and arrow keys move.

The range input lies over the pictures and is what all three of them move, so there is one thing to reach by keyboard and for
a screen reader to name. A page puts `SLIDER_STYLE` into its style, `SLIDER` before its first use and `SLIDER_SCRIPT` at its
end.
"""

SLIDER_STYLE = """
.pair { position: relative; overflow: hidden; border-radius: 6px; background: var(--grid); --cut: 50%; }
.pair img { display: block; width: 100%; height: auto; }
.pair .after { position: absolute; inset: 0; clip-path: inset(0 0 0 var(--cut)); }
.pair .cut { position: absolute; top: 0; bottom: 0; left: var(--cut); width: 2px; margin-left: -1px; background: #fff;
  box-shadow: 0 0 3px #000; pointer-events: none; }
.pair .tile { position: absolute; border: 2px solid #fff; outline: 1px solid #000; pointer-events: none; }
.pair .tag { position: absolute; bottom: 0; padding: .1rem .5rem; background: #000a; color: #fff; font-size: .78rem;
  pointer-events: none; }
.pair .right { right: 0; }
.pair input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize;
  touch-action: pan-y; }
.pair:has(input:focus-visible) { outline: 3px solid var(--kept); outline-offset: 2px; }
"""
SLIDER = """
{% macro slider(name, before, after, width_px, height_px, tile) %}
<div class="pair"><img src="{{ before }}" alt="before: {{ name }}" width="{{ width_px }}" height="{{ height_px }}">
<img class="after" src="{{ after }}" alt="after: {{ name }}" width="{{ width_px }}" height="{{ height_px }}">
<span class="cut"></span>
{% if tile %}<span class="tile" style="{{ tile }}"></span>{% endif %}
<span class="tag" aria-hidden="true">before</span><span class="tag right" aria-hidden="true">after</span>
<input type="range" min="0" max="100" value="50" aria-label="where before ends and after begins: {{ name }}"></div>
{% endmacro %}
"""
SLIDER_SCRIPT = """<script>
for (const range of document.querySelectorAll('.pair input')) {
  const move = () => range.parentElement.style.setProperty('--cut', range.value + '%');
  range.addEventListener('input', move);
  move();
}
</script>
"""
