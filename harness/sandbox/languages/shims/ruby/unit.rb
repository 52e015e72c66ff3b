# What tests use of test-unit: comparing values, and running every method called test... when the program ends.
module Test
  module Unit
    class AssertionFailedError < StandardError; end

    class TestCase
      CASES = []

      def self.inherited(other)
        super
        CASES << other
      end

      def setup; end

      def teardown; end

      def assert_equal(expected, actual, message = nil)
        return if expected == actual

        raise AssertionFailedError, "#{message} expected: #{expected.inspect}, actual: #{actual.inspect}"
      end

      def assert_not_equal(expected, actual, message = nil)
        raise AssertionFailedError, "#{message} expected: another than #{expected.inspect}" if expected == actual
      end

      def assert(value, message = nil)
        raise AssertionFailedError, "#{message} expected: true, actual: #{value.inspect}" unless value
      end
    end

    at_exit do
      next if $!

      failed = 0
      TestCase::CASES.each do |one|
        one.public_instance_methods(false).grep(/\Atest/).sort.each do |name|
          each = one.new
          each.setup
          each.public_send(name)
          each.teardown
        rescue StandardError, NotImplementedError, SystemStackError => e
          failed += 1
          warn("#{name}: #{e.class}: #{e.message}", *e.backtrace.first(5))
        end
      end
      exit(1) if failed.positive?
    end
  end
end
