import { negotiate } from './accept.ts';

const protobuf = 'application/vnd.kubernetes.protobuf';
const table = 'application/json;as=Table;v=v1;g=meta.k8s.io';

describe('Accept', () => {
  const plainOnly = (encoding: string): object => ({ encoding, as: '', plainAcceptable: true, plain: encoding });

  test.each([
    ['a kubelet', `${protobuf},application/json`, 'protobuf'],
    ['kubemark', `${protobuf}, */*`, 'protobuf'],
    ['anything', '*/*', 'json'],
    ['a bare star', '*', 'json'],
    ['any application type', 'application/*', 'json'],
    ['JSON first', `application/json,${protobuf}`, 'json'],
    ['a wildcard before a type', `*/*,${protobuf}`, 'protobuf'],
    ['CBOR, which is off by default', 'application/cbor,application/json', 'json'],
    ['a watch in protobuf', `${protobuf};stream=watch`, 'protobuf'],
    ['JSON preferred by q', `${protobuf};q=0.5,application/json`, 'json'],
    ['a q of 0, which refuses nothing', 'application/json;q=0', 'json'],
    ['unknown parameters', 'application/json;charset=utf-8;pretty=1', 'json'],
    ['a stream that is unknown, then JSON', `${protobuf};stream=tail,application/json`, 'json'],
    ['a wildcard whose q is higher', `${protobuf};q=0.1,*/*;q=0.9`, 'json'],
  ])('%s gets the plain form', (_name, accept, encoding) => {
    expect(negotiate(accept)).toEqual(plainOnly(encoding));
  });

  test('without a header the answer is JSON', () => {
    expect(negotiate(undefined)).toEqual(plainOnly('json'));
    expect(negotiate('')).toEqual(plainOnly('json'));
  });

  test.each(['text/html', 'application/yaml', 'application/cbor', 'application', 'a/b/c', `${table};sv=v2`])(
    '%s alone is not acceptable',
    (accept) => {
      expect(negotiate(accept)).toEqual({
        encoding: undefined,
        as: '',
        plainAcceptable: false,
        plain: undefined,
      });
    },
  );

  test('kubectl get asks for a Table and takes the plain list', () => {
    const accept = `${table},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json`;
    expect(negotiate(accept)).toEqual({ encoding: 'json', as: 'Table', plainAcceptable: true, plain: 'json' });
  });

  test('a Table alone leaves no plain form', () => {
    expect(negotiate(table)).toMatchObject({ as: 'Table', plainAcceptable: false });
  });

  test('a Table in protobuf does not exist', () => {
    expect(negotiate(`${protobuf};as=Table;v=v1;g=meta.k8s.io,${table}`)).toMatchObject({
      encoding: 'json',
      as: 'Table',
    });
  });

  test('a form of another group is passed over', () => {
    expect(negotiate('application/json;as=Table;v=v1;g=other.io')).toMatchObject({ encoding: undefined });
  });

  test('the metadata informer takes protobuf', () => {
    const accept = `${protobuf};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json`;
    expect(negotiate(accept)).toEqual({
      encoding: 'protobuf',
      as: 'PartialObjectMetadataList',
      plainAcceptable: true,
      plain: 'json',
    });
  });

  test('custom resources have JSON only', () => {
    expect(negotiate(`${protobuf},application/json`, ['json'])).toEqual(plainOnly('json'));
    expect(negotiate(protobuf, ['json'])).toMatchObject({ encoding: undefined });
  });
});
