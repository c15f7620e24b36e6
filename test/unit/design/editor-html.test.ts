import assert from 'node:assert/strict';
import { readEditorHtml } from './editor-html';
import { environmentNames } from './examples';

const HTML = `
<script type="text/javascript">
  RED.nodes.registerType('sample', {
    category: 'contact center',
    icon: 'sample.svg',
    defaults: { name: { value: '' }, tokenEnvironment: { value: 'SAMPLE_TOKEN' } },
    credentials: { token: { type: 'password' } },
    label: function () { return this.name || this._('sample.label.short'); },
    oneditprepare: function () {
      const say = (state) => RED._('sample.test.' + state);
      $('<input>', { id: 'node-input-made' }).insertAfter('#node-input-nowhere');
      const title = RED._(this.name ? 'sample.named' : 'sample.nameless');
    },
  });
</script>
<script type="text/html" data-template-name="sample">
  <label for="node-input-name"><i class="fa fa-tag"></i> <span data-i18n="sample.label.name"></span></label>
  <input type="text" id="node-input-name" data-i18n="[placeholder]sample.placeholder.name;[title]node-red:common.label.name">
</script>`;

describe('what the guards read', () => {
  it('is the definition, the fields and the texts of a node’s html', () => {
    const html = readEditorHtml(HTML);
    assert.deepEqual(html.registered, ['sample']);
    assert.deepEqual(html.dialogs, ['sample']);
    assert.deepEqual(html.texts, { category: 'contact center', icon: 'sample.svg' });
    assert.deepEqual(html.defaults, ['name', 'tokenEnvironment']);
    assert.deepEqual(html.credentials, ['token']);
    assert.deepEqual(html.variables, ['SAMPLE_TOKEN']);
    assert.deepEqual(html.ids, ['node-input-made', 'node-input-name']);
    assert.deepEqual(html.labels, [{ field: 'node-input-name', key: 'sample.label.name' }]);
    assert.deepEqual(html.keyPrefixes, ['sample.test.']);
    assert.deepEqual(html.keys.toSorted(), [
      'node-red:common.label.name',
      'sample.label.name',
      'sample.label.short',
      'sample.named',
      'sample.nameless',
      'sample.placeholder.name',
    ]);
  });

  it('is every environment variable of a flow', () => {
    const flow = [
      {
        id: '1',
        type: 'a',
        url: '${URL_NAME}',
        queue: '${QUEUE_NAME:-a.queue}',
        list: [{ deep: '${DEEP}' }],
        secretEnvironment: 'SECRET_NAME',
      },
      { id: '2', type: 'b', rule: '$env("IN_JSONATA")', func: "env.get('IN_FUNCTION')", p: 'TYPED', pType: 'env' },
      { id: '3', type: 'c', name: 'NOT_A_VARIABLE' },
    ];
    assert.deepEqual(environmentNames(flow), [
      'DEEP',
      'IN_FUNCTION',
      'IN_JSONATA',
      'QUEUE_NAME',
      'SECRET_NAME',
      'TYPED',
      'URL_NAME',
    ]);
  });
});
